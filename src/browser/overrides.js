// What would cover the page on the recorded screen: dialogs, the print dialog and
// new windows. A page sees somebody who confirms whatever is asked, a printer that
// does nothing and a pop-up blocker. (DevTools answers a dialog only once it is
// open, and on a busy machine it shows until then.)
(() => {
  const override = (name, value) => {
    const own = Object.getOwnPropertyDescriptor(window, name);
    if (own && own.configurable) {
      Object.defineProperty(window, name, { ...own, value });
    }
  };
  override('alert', { alert() {} }.alert);
  override('confirm', { confirm() { return true; } }.confirm);
  override('prompt', { prompt(_, text = '') { return String(text); } }.prompt);
  override('print', { print() {} }.print);
  override('open', { open() { return null; } }.open);
})();
