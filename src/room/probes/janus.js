// Janus: the globals of its Video Room page. Only those who send are listed. That it
// was put out or that the room is gone, the page keeps to itself; what hears it passes
// every message on as it came.
() => {
  const { Janus, janus, sfutest, feeds, myid } = window;
  if (typeof Janus !== 'function' || !Array.isArray(feeds)) return null;
  const KEY = Symbol.for('roomreel.janus');
  if (sfutest && window[KEY]?.handle !== sfutest) {
    const heard = { handle: sfutest, over: null };
    Object.defineProperty(window, KEY, { value: heard, configurable: true });
    const pageHears = sfutest.onmessage;
    sfutest.onmessage = function (...message) {
      const [{ videoroom, leaving, reason } = {}] = message;
      if (videoroom === 'joined') heard.over = null;
      if (videoroom === 'destroyed') heard.over = 'ended';
      // Others leave under their number.
      if (leaving === 'ok') heard.over = reason === 'kicked' ? 'removed' : 'left';
      return pageHears?.apply(this, message);
    };
  }
  const over = (sfutest && window[KEY].over) || null;
  return {
    joined: janus?.isConnected?.() === true && Boolean(sfutest) && Boolean(myid) && !over,
    peers: feeds
      .filter(Boolean)
      .map((feed) => ({ id: feed.rfid, name: feed.rfdisplay, role: 'publisher' })),
    over,
  };
}
