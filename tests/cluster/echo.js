// A WebSocket server that sends back each text; and plain pages: what it was sent.
const http = require('http'), crypto = require('crypto');
const server = http.createServer((req, res) => {
  let n = 0;
  req.on('data', (d) => { n += d.length; });
  req.on('end', () => { res.writeHead(200, { 'content-type': 'application/json' }); res.end(JSON.stringify({ bytes: n, headers: req.headers })); });
});
server.requestTimeout = 0;
server.on('upgrade', (req, socket, head) => {
  const key = crypto.createHash('sha1').update(req.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`);
  socket.on('error', () => {});
  socket.on('data', (frame) => {
    if ((frame[0] & 15) === 8) return socket.end();
    if ((frame[0] & 15) !== 1) return;
    const length = frame[1] & 127, mask = frame.subarray(2, 6), text = frame.subarray(6, 6 + length).map((b, i) => b ^ mask[i % 4]);
    socket.write(Buffer.concat([Buffer.from([129, length]), text]));
  });
});
server.listen(Number(process.argv[2]), process.argv[3] || '0.0.0.0');
