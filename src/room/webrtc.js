// Counts the page's peer connections and what arrives on them. Runs before the
// page's scripts; the page keeps a constructor that behaves as the native one.
(() => {
  const KEY = Symbol.for('roomreel.webrtc');
  if (window[KEY]) {
    return;
  }
  // A symbol, not enumerable: no loop over the window's properties meets it.
  const answer = (read) => Object.defineProperty(window, KEY, { value: read });
  const Native = window.RTCPeerConnection;
  if (typeof Native !== 'function') {
    answer(() => ({ connections: 0, connected: 0, liveRemoteTracks: 0, inboundBytes: 0 }));
    return;
  }
  // Taken now: a page may replace them later.
  const { setTimeout } = window;
  const { getStats, getTransceivers } = Native.prototype;
  const connectionState =
    Object.getOwnPropertyDescriptor(Native.prototype, 'connectionState').get;

  let made = 0;
  // Weak, so that a connection the page has dropped can still be collected.
  let known = [];

  // A proxy keeps statics, name, length, the prototype and subclasses as they are.
  const Wrapped = new Proxy(Native, {
    construct(target, args, newTarget) {
      const connection = Reflect.construct(target, args, newTarget);
      made += 1;
      known = known.filter((ref) => ref.deref() !== undefined);
      known.push(new WeakRef(connection));
      return connection;
    },
  });
  const replace = (object, name) => {
    const own = Object.getOwnPropertyDescriptor(object, name);
    if (own && own.value === Native) {
      Object.defineProperty(object, name, { ...own, value: Wrapped });
    }
  };
  replace(window, 'RTCPeerConnection');
  replace(window, 'webkitRTCPeerConnection');
  replace(Native.prototype, 'constructor');

  const receives = (transceiver) =>
    ['sendrecv', 'recvonly'].includes(transceiver.currentDirection) &&
    transceiver.receiver.track.readyState === 'live';

  // A connection that does not answer soon counts as having received nothing.
  const inbound = (connection) =>
    Promise.race([
      getStats.call(connection).then((report) => {
        let bytes = 0;
        report.forEach((entry) => {
          if (entry.type === 'inbound-rtp') {
            bytes += entry.bytesReceived || 0;
          }
        });
        return bytes;
      }),
      new Promise((resolve) => setTimeout(resolve, 1000, 0)),
    ]).catch(() => 0);

  const read = async () => {
    const connected = known
      .map((ref) => ref.deref())
      .filter((connection) => connection && connectionState.call(connection) === 'connected');
    const bytes = await Promise.all(connected.map(inbound));
    return {
      connections: made,
      connected: connected.length,
      liveRemoteTracks: connected.flatMap((c) => getTransceivers.call(c)).filter(receives).length,
      inboundBytes: bytes.reduce((sum, n) => sum + n, 0),
    };
  };

  answer(read);
})();
