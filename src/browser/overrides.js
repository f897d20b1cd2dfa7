// What would cover the page on the recorded screen: the print dialog and new
// windows. A page sees a printer that does nothing and a pop-up blocker.
(() => {
  const override = (name, value) => {
    const own = Object.getOwnPropertyDescriptor(window, name);
    if (own && own.configurable) {
      Object.defineProperty(window, name, { ...own, value });
    }
  };
  override('print', { print() {} }.print);
  override('open', { open() { return null; } }.open);
})();
