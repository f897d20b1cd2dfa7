// The socket to the server: joins, joins again when it breaks, and carries
// messages both ways.

const FINAL = new Set(['refused', 'ended', 'removed']);
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 4000;

// `join()` gives the join message; `onMessage` gets every server message and
// `onLost` a call whenever the connection breaks. Returns { send, close }.
export function openSignal({ join, onMessage, onLost }) {
  let socket = null;
  let over = false;
  let retry = FIRST_RETRY_MS;
  let timer = 0;

  const connect = () => {
    const address = new URL('/ws', location.href);
    address.protocol = address.protocol.replace('http', 'ws');
    socket = new WebSocket(address);
    socket.addEventListener('open', () => send({ type: 'join', ...join() }));
    socket.addEventListener('message', (event) => {
      // What was under way when we left.
      if (over) return;
      const message = JSON.parse(event.data);
      if (message.type === 'welcome') retry = FIRST_RETRY_MS;
      if (FINAL.has(message.type)) over = true;
      onMessage(message);
    });
    socket.addEventListener('close', () => {
      if (over) return;
      onLost();
      timer = setTimeout(connect, retry);
      retry = Math.min(retry * 2, LAST_RETRY_MS);
    });
  };

  const send = (message) => {
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
  };

  const close = () => {
    over = true;
    clearTimeout(timer);
    socket.close();
  };

  connect();
  return { send, close };
}
