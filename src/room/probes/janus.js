// Janus: the globals of its Video Room page. Only those who send are listed.
() => {
  const { Janus, janus, sfutest, feeds, myid } = window;
  if (typeof Janus !== 'function' || !Array.isArray(feeds)) return null;
  return {
    joined: janus?.isConnected?.() === true && Boolean(sfutest) && Boolean(myid),
    peers: feeds
      .filter(Boolean)
      .map((feed) => ({ id: feed.rfid, name: feed.rfdisplay, role: 'publisher' })),
  };
}
