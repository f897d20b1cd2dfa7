// A meeting's site behind HTTPS and HTTP authentication, another site, and a proxy, each on a
// free port of the loopback. Prints their ports as one line of JSON, then what each was asked.
'use strict';
const http = require('node:http');
const https = require('node:https');
const fs = require('node:fs');
const net = require('node:net');

const { CERT, KEY, CREDENTIALS } = process.env;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

let other;
const page = () => `<!doctype html><title>meeting</title>
<header id=bar>a bar</header><p>a meeting</p>
<script>
  new Image().src = 'http://127.0.0.1:${other}/pixel';
  fetch('/leave', { mode: 'no-cors' }).catch(() => {});
  const { locale, timeZone } = Intl.DateTimeFormat().resolvedOptions();
  setTimeout(() => fetch('/tell', { method: 'POST', body: JSON.stringify({
    language: navigator.language, locale, timeZone, hour: new Date(0).getHours(),
    bar: getComputedStyle(bar).display, cookie: document.cookie,
  }) }), 500);
</script>`;

function answer(site) {
  return (request, response) => {
    let body = '';
    request.on('data', (part) => { body += part; });
    request.on('end', () => {
      say({ site, method: request.method, url: request.url, headers: request.headers, body });
      const wanted = `Basic ${Buffer.from(CREDENTIALS).toString('base64')}`;
      if (site === 'meeting' && request.headers.authorization !== wanted) {
        response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="meeting"' }).end();
      } else if (request.url === '/leave') {
        response.writeHead(302, { Location: `http://127.0.0.1:${other}/landed` }).end();
      } else {
        // No style of the page's own is allowed: one that is laid over it is not asked.
        response.writeHead(200, {
          'Content-Type': 'text/html',
          'Content-Security-Policy': "style-src 'none'",
        });
        response.end(request.url === '/tell' ? '' : page());
      }
    });
  };
}

const tls = { cert: fs.readFileSync(CERT), key: fs.readFileSync(KEY) };
const servers = {
  meeting: https.createServer(tls, answer('meeting')),
  other: http.createServer(answer('other')),
  proxy: http.createServer(answer('proxy')),
};
servers.proxy.on('connect', (request, socket) => {
  say({ site: 'proxy', method: request.method, url: request.url, headers: request.headers });
  const there = net.connect(other, '127.0.0.1', () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    there.pipe(socket).pipe(there);
  });
  there.on('error', () => socket.destroy());
  socket.on('error', () => there.destroy());
});
(async () => {
  const ports = {};
  for (const [name, server] of Object.entries(servers)) {
    await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
    ports[name] = server.address().port;
  }
  other = ports.other;
  say(ports);
})();
