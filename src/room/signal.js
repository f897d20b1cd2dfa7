// The page's own word, `window.roomreel = {joined, peers, ended}`, and the count
// of its media. Whatever the page put there, the answer has the same form.
(async () => {
  const signal = () => {
    try {
      const said = window.roomreel;
      // An element with that id is not a word of the page.
      if (said === null || typeof said !== 'object' || said instanceof Node) {
        return null;
      }
      const { joined, peers, ended } = said;
      const counted = Number.isInteger(peers) && peers >= 0 && peers <= 0xffffffff;
      return { joined: joined === true, peers: counted ? peers : null, ended: ended === true };
    } catch {
      return null;
    }
  };
  const webrtc = async () => {
    try {
      return await window[Symbol.for('roomreel.webrtc')]();
    } catch {
      return null;
    }
  };
  return { signal: signal(), webrtc: await webrtc() };
})()
