// The room page: link, preview, meeting, end. Links:
//   /preview/<room>/<role>?name=&userId=&auth_token=&ui_mode=activespeaker
//   &skip_preview=true           straight in; only tiles, edge to edge
//   &skip_preview_headful=true   straight in; header and footer stay
// A recorder reads window.roomreel = { joined, peers, ended }: joined while the
// server has us in the room; peers: others in it, hidden ones not counted;
// ended: the room was ended, or we were put out of it.

import { Media } from './media.js';
import { Mesh } from './mesh.js';
import { openSignal } from './signal.js';
import { Stage } from './stage.js';

const REFUSALS = {
  bad_link: 'The link has no usable room or role.',
  bad_token: 'The token in the link cannot be read.',
  token_expired: 'The token in the link has expired.',
  token_not_yet_valid: 'The token in the link is not valid yet.',
  token_for_other_room: 'The token in the link is for another room.',
  full: 'The room is full.',
};
// How loud counts as speech, and how long a speaker keeps the ring in a pause.
const SPEECH_LEVEL = 0.02;
const SPEAKER_HOLD_MS = 900;
const LEVELS_EVERY_MS = 200;
const NOTICE_MS = 4000;

const page = (window.roomreel = { joined: false, peers: 0, ended: false });
const element = (id) => document.getElementById(id);

const [, , roomId, linkRole] = location.pathname.split('/').map(decodeURIComponent);
const query = new URLSearchParams(location.search);
const headless = query.get('skip_preview') === 'true';
const skipPreview = headless || query.get('skip_preview_headful') === 'true';
const subscribe = window.roomreelDemo?.subscribe !== false;
const hiddenLink = /^(__internal.*|recorder|beam)$/.test(linkRole);

let name = query.get('name')?.trim() || (headless && hiddenLink ? 'Beam' : '');
let me = null;
let signal = null;
let levels = 0;
const peers = new Map();
const media = new Media(mediaChanged);
const mesh = new Mesh({ send: (message) => signal.send(message), onChange: render });
const stage = new Stage(element('stage'), {
  bleed: headless,
  spotlight: query.get('ui_mode') === 'activespeaker',
  onBlocked: () => { element('sound').hidden = false; },
});

// --- Screens -------------------------------------------------------------

function show(screen) {
  for (const id of ['preview', 'room', 'over']) element(id).hidden = id !== screen;
}

// The end of this page's meeting.
function over(title, text, again) {
  page.joined = false;
  page.peers = 0;
  me = null;
  clearInterval(levels);
  signal?.close();
  mesh.close();
  media.close();
  peers.clear();
  stage.show([]);
  element('sound').hidden = true;
  element('notices').replaceChildren();
  element('over-title').textContent = title;
  element('over-text').textContent = text;
  element('over-text').hidden = !text;
  element('again').hidden = !again;
  show('over');
}

function notice(text, lasting = false) {
  const line = document.createElement('p');
  line.textContent = text;
  line.classList.toggle('lasting', lasting);
  element('notices').append(line);
  if (!lasting) setTimeout(() => line.remove(), NOTICE_MS);
  return line;
}

// --- Our own media -------------------------------------------------------

function mediaState() {
  return {
    mic: media.isOn('mic'),
    cam: media.isOn('cam'),
    screen: media.isOn('screen'),
    screen_id: mesh.screenStream.id,
  };
}

function mediaChanged(kind, track) {
  if (kind === 'cam') {
    element('preview-video').srcObject = media.mirror;
    element('preview-note').textContent = track ? '' : media.problem || 'Your camera is off';
  }
  for (const button of document.querySelectorAll('[data-toggle]')) {
    button.setAttribute('aria-pressed', String(media.isOn(button.dataset.toggle)));
  }
  if (me) {
    mesh.publish(kind, track);
    signal.send({ type: 'state', state: mediaState() });
    render();
  }
}

async function toggle(kind) {
  try {
    await media.toggle(kind);
  } catch (error) {
    // Closing the picker of the screen is no error worth a word.
    if (kind !== 'screen' || error.name !== 'NotAllowedError') {
      notice(kind === 'screen' ? 'The screen cannot be shared' : 'The browser gives no access to it');
    }
  }
}

// --- The meeting ---------------------------------------------------------

function join() {
  show('room');
  let lost = null;
  signal = openSignal({
    join: () => ({
      room: roomId,
      role: linkRole,
      name,
      user_id: query.get('userId'),
      auth_token: query.get('auth_token'),
      subscribe,
    }),
    onMessage: (message) => {
      if (message.type === 'welcome') {
        lost?.remove();
        lost = null;
      }
      HANDLERS[message.type]?.(message);
    },
    onLost: () => {
      page.joined = false;
      lost ??= notice('The connection is lost. Trying again.', true);
    },
  });
}

const HANDLERS = {
  welcome(message) {
    const first = me === null;
    me = message;
    peers.clear();
    mesh.start({ me: me.id, publish: !me.hidden, subscribe });
    for (const peer of me.peers) addPeer(peer);
    for (const kind of ['mic', 'cam', 'screen']) mesh.publish(kind, media.tracks[kind]);
    element('end').hidden = !me.host;
    signal.send({ type: 'state', state: mediaState() });
    render();
    page.joined = true;
    if (first) {
      if (subscribe) levels = setInterval(listen, LEVELS_EVERY_MS);
      if (!me.hidden && skipPreview) media.open();
      for (const button of document.querySelectorAll('footer [data-toggle]')) {
        button.disabled = me.hidden || !navigator.mediaDevices;
      }
    }
  },
  joined({ peer }) {
    addPeer(peer);
    if (!peer.hidden) notice(`${peer.name} joined`);
    render();
  },
  left({ id }) {
    const peer = peers.get(id);
    peers.delete(id);
    mesh.remove(id);
    if (peer && !peer.hidden) notice(`${peer.name} left`);
    render();
  },
  state({ id, state }) {
    const peer = peers.get(id);
    if (peer) peer.state = state;
    render();
  },
  signal({ from, data }) {
    mesh.receive(from, data);
  },
  refused({ reason }) {
    over('You cannot join this room', REFUSALS[reason] ?? '', reason === 'full');
  },
  ended() {
    page.ended = true;
    over('The room has ended', 'It was ended for everybody.', false);
  },
  removed() {
    page.ended = true;
    over('You were removed from the room', '', false);
  },
};

function addPeer(peer) {
  peers.set(peer.id, peer);
  mesh.add(peer);
}

function tilesOf(peer) {
  const { id, state } = peer;
  const link = mesh.links.get(id);
  const streams = [...(link?.streams.values() ?? [])];
  const trouble = link?.trouble ? 'Connection trouble' : '';
  const tile = (kind, stream, picture) => ({
    key: `${id} ${kind}`,
    peer: id,
    kind,
    name: peer.name,
    own: false,
    stream: stream ?? null,
    picture,
    mic: state.mic,
    trouble,
  });
  const isScreen = (stream) => stream.id === state.screen_id;
  const tiles = [tile('camera', streams.find((stream) => !isScreen(stream)), state.cam)];
  const screen = state.screen && streams.find(isScreen);
  if (screen) tiles.push(tile('screen', screen, true));
  return tiles;
}

function ownTiles() {
  // Without the controls nobody sits in front of this page to be mirrored.
  if (me.hidden || headless) return [];
  return [{
    key: 'own',
    peer: me.id,
    kind: 'camera',
    name: me.name,
    own: true,
    stream: media.mirror,
    picture: media.isOn('cam'),
    mic: media.isOn('mic'),
    trouble: '',
  }];
}

function render() {
  if (!me) return;
  const visible = [...peers.values()].filter((peer) => !peer.hidden);
  page.peers = visible.length;
  const people = visible.length + (me.hidden ? 0 : 1);
  element('count').textContent = people === 1 ? '1 person' : `${people} people`;
  const tiles = subscribe ? [...visible.flatMap(tilesOf), ...ownTiles()] : [];
  element('empty').hidden = tiles.length > 0;
  stage.show(tiles);
}

// Who speaks: the loudest above the threshold, not taken from somebody who
// only pauses for breath.
let spoke = { peer: null, at: 0 };
function listen() {
  let loudest = { peer: null, level: SPEECH_LEVEL };
  for (const [id, link] of mesh.links) {
    const peer = peers.get(id);
    const level = peer?.state.mic ? link.level() : 0;
    if (level > loudest.level) loudest = { peer: id, level };
  }
  const own = headless ? 0 : media.level();
  if (own > loudest.level) loudest = { peer: me.id, level: own };
  const now = performance.now();
  if (loudest.peer !== null && (loudest.peer === spoke.peer || now - spoke.at > SPEAKER_HOLD_MS / 2)) {
    spoke = { peer: loudest.peer, at: now };
  }
  stage.ring(now - spoke.at < SPEAKER_HOLD_MS ? spoke.peer : null);
}

// --- Begin ---------------------------------------------------------------

for (const button of document.querySelectorAll('[data-toggle]')) {
  button.addEventListener('click', () => toggle(button.dataset.toggle));
}
element('leave').addEventListener('click', () => over('You left the room', '', true));
element('again').addEventListener('click', () => location.reload());
element('end').addEventListener('click', () => element('end-dialog').showModal());
element('end-dialog').addEventListener('close', (event) => {
  if (event.target.returnValue === 'yes') signal.send({ type: 'end' });
});
element('sound').addEventListener('click', () => {
  element('sound').hidden = true;
  stage.unblock();
});
element('join-form').addEventListener('submit', (event) => {
  event.preventDefault();
  name = element('name').value.trim();
  join();
});
// A closed tab leaves at once.
addEventListener('pagehide', () => signal?.close());
addEventListener('pageshow', (event) => event.persisted && location.reload());

for (const place of document.querySelectorAll('.room-name')) place.textContent = roomId;
document.title = `${roomId} · demo room`;
document.body.classList.toggle('headless', headless);
if (skipPreview) {
  join();
} else {
  show('preview');
  element('name').value = name || (hiddenLink ? 'Beam' : '');
  if (hiddenLink) element('preview-note').textContent = 'This role sees and hears, and sends nothing';
  else media.open();
}
