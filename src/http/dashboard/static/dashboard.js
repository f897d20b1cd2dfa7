// What pages do besides showing: look again while something goes on, and copy links.
// Everything else works without it. It adds nothing to a page that the service has
// not rendered.
'use strict';

const said = document.getElementById('said');
const main = document.querySelector('main[data-refresh]');

/** Takes over what is new in the parts of the page that are marked as live. */
function takeOver(fresh) {
  for (const old of document.querySelectorAll('[data-live]')) {
    const young = fresh.getElementById(old.id);
    if (!young) continue;
    if (old.className !== young.className) old.className = young.className;
    if (old.dataset.live === 'text') {
      // Only what has changed is read out.
      if (old.textContent !== young.textContent) old.textContent = young.textContent;
    } else if (old.innerHTML !== young.innerHTML) {
      const focused = old.contains(document.activeElement) ? document.activeElement.id : '';
      old.replaceChildren(...young.childNodes);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    }
  }
}

let looking = false;

async function lookAgain() {
  // A service that is slow is not asked twice at once.
  if (document.hidden || looking) return;
  looking = true;
  let answer;
  try {
    answer = await fetch(location.href, { redirect: 'manual' });
  } catch {
    return; // It is away for a moment: tried again at the next turn.
  } finally {
    looking = false;
  }
  if (answer.type === 'opaqueredirect') {
    location.reload(); // Signed out meanwhile.
    return;
  }
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html');
  if (fresh.querySelector('main[data-refresh]')) {
    takeOver(fresh);
  } else {
    clearInterval(turns);
    location.reload(); // It is over: another page, with files in it.
  }
}

const turns = main && setInterval(lookAgain, Number(main.dataset.refresh) * 1000);

/** The picture now; while there is none, words. */
const picture = document.querySelector('[data-picture]');
if (picture) {
  const words = document.querySelector('[data-no-picture]');
  const source = picture.src;
  const show = (there) => {
    picture.hidden = !there;
    words.hidden = there;
  };
  picture.addEventListener('load', () => show(true));
  picture.addEventListener('error', () => show(false));
  if (picture.complete) show(picture.naturalWidth > 0);
  setInterval(() => {
    if (!document.hidden) picture.src = `${source}?at=${Date.now()}`;
  }, 2000);
}

/** Copies the text of the field that a button is for. */
async function copy(button) {
  const field = document.getElementById(button.dataset.copy);
  field.focus();
  field.select();
  let copied;
  try {
    await navigator.clipboard.writeText(field.value);
    copied = true;
  } catch {
    // Without https browsers have no clipboard for pages but this.
    copied = document.execCommand('copy');
  }
  button.focus();
  said.textContent = copied ? 'The link is copied.' : 'The link is marked: copy it by hand.';
}

for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', () => copy(button));
}
