'use strict';
// From the ingress controller to the workspaces. The name that was asked for says where a request goes:
//
//   <workspace>-<owner>.DOMAIN         the IDE, which asks for the workspace's password
//   <port>-<workspace>-<owner>.DOMAIN  that port: a public one directly, any other through the IDE's own proxy, which asks too
//   DOMAIN/ca.crt                      the certificate of the private authority, where there is one
//   anything else                      404
//
// A port is public when the workspace's Service has a port named `public-<port>`: DNS tells (an SRV record), so that the gateway
// needs no right on the cluster and no list. Nothing is decided here about who may in: code-server does that, by its cookie.
// The gateway gives that cookie to the workspace's own names only, and to nobody's page script.
//
// Every answer has the header `x-runbook-gateway`: ide, private, public, or why there is none.
const http = require('http');
const dns = require('dns').promises;
const fs = require('fs');

const DOMAIN = process.env.DOMAIN || '';
const IDE_PORT = Number(process.env.IDE_PORT || 13337);
const TRIES = Number(process.env.TRIES || 10);
const CA_FILE = process.env.CA_FILE || '';
const SESSION = 'code-server-session'; // code-server's name of its cookie; `-<workspace>-<owner>` follows (CODE_SERVER_COOKIE_SUFFIX)
const NAME = /^(?:([1-9][0-9]{0,4})-)?([a-z](?:[a-z0-9-]{0,28}[a-z0-9])?)-([a-z][a-z0-9]{0,19})$/;
const CONNECT_MS = 10000, PUBLIC_MS = 5000, ADDRESS_MS = 2000, MINUTE_MS = 60000;
const HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'upgrade']);
const agent = new http.Agent({ keepAlive: true, keepAliveMsecs: 15000 });

// -- names -------------------------------------------------------------------

const label = (host) => {
  const name = String(host || '').toLowerCase().replace(/:[0-9]+$/, '').replace(/\.$/, '');
  return name === DOMAIN ? '' : name.endsWith('.' + DOMAIN) ? name.slice(0, -DOMAIN.length - 1) : null;
};

// {port, workspace, owner, id} of a host; null if it is no workspace's. `port` is 0 for the IDE.
const parse = (host) => {
  const found = NAME.exec(label(host) || '');
  if (!found || Number(found[1] || 0) > 65535 || Number(found[1] || 0) === IDE_PORT) return null;
  return { port: Number(found[1] || 0), workspace: found[2], owner: found[3], id: found[2] + '-' + found[3] };
};

// The cluster's own domain, as the pod's resolver has it: `search <namespace>.svc.cluster.local svc.cluster.local cluster.local`.
const clusterDomain = (text) => (/^search\s.*?\bsvc\.(\S+)/m.exec(text) || [0, 'cluster.local'])[1];
const SERVICES = 'svc.' + clusterDomain(fs.existsSync('/etc/resolv.conf') ? fs.readFileSync('/etc/resolv.conf', 'utf8') : '');
const service = (to) => `${to.workspace}.ws-${to.owner}.${SERVICES}`;

const remembered = (ms, ask) => {
  const known = new Map();
  return (key) => {
    const now = Date.now();
    if (known.size > 5000) known.clear();
    let entry = known.get(key);
    if (!entry || entry.until < now) known.set(key, (entry = { until: now + ms, value: ask(key) }));
    return entry.value;
  };
};
// Not known to be public is private: also when DNS does not answer.
const srv = remembered(PUBLIC_MS, (name) => dns.resolveSrv(name).then((found) => found.length > 0, () => false));
const isPublic = (to) => (to.port ? srv(`_public-${to.port}._tcp.${service(to)}`) : Promise.resolve(false));
const address = remembered(ADDRESS_MS, (name) => dns.lookup(name).then((found) => found, (error) => error));

// -- sign-in -----------------------------------------------------------------

const buckets = new Map();
const signIn = (req) => req.method === 'POST' && /^\/+login\/*$/i.test(req.url.split('?', 1)[0]);
// The address that the nearest proxy saw: the last of the list, whatever a client put before it.
const client = (req) => String(req.headers['x-forwarded-for'] || req.socket.remoteAddress).split(',').pop().trim();

// A try is taken; the function that gives it back, or null when none is left.
const take = (req, to, now = Date.now()) => {
  const key = client(req) + ' ' + to.id;
  if (buckets.size > 10000) for (const [k, b] of buckets) if (now - b.at > TRIES * MINUTE_MS) buckets.delete(k);
  const bucket = buckets.get(key) || { left: TRIES, at: now };
  bucket.left = Math.min(TRIES, bucket.left + (now - bucket.at) / MINUTE_MS);
  bucket.at = now;
  buckets.set(key, bucket);
  if (bucket.left < 1) return null;
  bucket.left -= 1;
  return () => { bucket.left = Math.min(TRIES, bucket.left + 1); };
};

// -- headers -----------------------------------------------------------------

const isSession = (pair) => pair.trim().startsWith(SESSION);
const own = (pair, to) => pair.trim().startsWith(`${SESSION}-${to.id}=`);

const onward = (req, to, open) => {
  const headers = {};
  for (const [name, value] of Object.entries(req.headers)) if (!HOP.has(name)) headers[name] = value;
  delete headers.forwarded; // code-server believes it before Host
  headers['x-forwarded-host'] = req.headers.host;
  if (headers['transfer-encoding']) headers['transfer-encoding'] = 'chunked';
  if (headers.cookie) {
    const kept = headers.cookie.split(';').filter((pair) => !isSession(pair) || (!open && own(pair, to)));
    if (kept.length) headers.cookie = kept.join(';').trim();
    else delete headers.cookie;
  }
  return headers;
};

// The session holds for the IDE and the private ports of its workspace, is sent over HTTPS only, and no page script reads it.
const session = (cookie) => {
  const [pair, ...attributes] = cookie.split(';').map((part) => part.trim());
  const kept = attributes.filter((part) => !/^(domain|secure|httponly)\b/i.test(part));
  return [pair, `Domain=${DOMAIN}`, 'Secure', 'HttpOnly', ...kept].join('; ');
};

const back = (answer, to, open) => {
  const headers = {};
  for (const [name, value] of Object.entries(answer.headers)) if (!HOP.has(name)) headers[name] = value;
  if (headers['set-cookie']) {
    headers['set-cookie'] = headers['set-cookie']
      .filter((cookie) => !isSession(cookie) || (!open && own(cookie, to)))
      .map((cookie) => (isSession(cookie) ? session(cookie) : cookie));
    if (!headers['set-cookie'].length) delete headers['set-cookie'];
  }
  headers['x-runbook-gateway'] = open ? 'public' : to.port ? 'private' : 'ide';
  return headers;
};

// -- the way -----------------------------------------------------------------

const refuse = (status, why, text, more = {}) => ({ status, why, text, more });

// Where a request goes, or why it goes nowhere.
const decide = async (req) => {
  const to = parse(req.headers.host);
  const proto = String(req.headers['x-forwarded-proto'] || 'https').split(',')[0].trim();
  if (!to) return refuse(404, 'unknown', 'Nothing is served at this name.');
  if (proto === 'http' || proto === 'ws')
    return refuse(308, 'https', 'See the same over HTTPS.', { location: `https://${String(req.headers.host).replace(/:[0-9]+$/, '')}${req.url}` });
  const open = await isPublic(to);
  const from = req.headers.origin && parse(originHost(req.headers.origin));
  if (!open && from && from.id !== to.id) return refuse(403, 'origin', `A page of ${from.id} may not reach into ${to.id}.`);
  const found = await address(service(to));
  if (found instanceof Error)
    return found.code === 'ENOTFOUND' ? refuse(404, 'no-workspace', `There is no workspace ${to.workspace} of ${to.owner}.`)
      : refuse(503, 'dns', 'The name of the workspace cannot be resolved just now.', { 'retry-after': '5' });
  const giveBack = !open && signIn(req) ? take(req, to) : () => {};
  if (!giveBack) return refuse(429, 'tries', 'Too many tries to sign in. Wait a minute.', { 'retry-after': '60' });
  return { to, open, giveBack, options: {
    host: found.address, family: found.family, port: open ? to.port : IDE_PORT, method: req.method, path: req.url, headers: onward(req, to, open) } };
};

const originHost = (origin) => { try { return new URL(origin).host; } catch { return ''; } };

const failed = (error, way) => {
  const there = error.code === 'ECONNREFUSED' || error.code === 'EHOSTUNREACH' || error.code === 'CONNECT_TIMEOUT';
  return there ? refuse(503, 'no-endpoint', `Workspace ${way.to.workspace} of ${way.to.owner} is stopped, starting, or does not listen there.`, { 'retry-after': '5' })
    : refuse(502, 'broken', `The workspace broke off: ${error.code || error.message}.`);
};

const connectTimeout = (up) => up.on('socket', (socket) => {
  if (!socket.connecting) return;
  const timer = setTimeout(() => up.destroy(Object.assign(new Error('connect timeout'), { code: 'CONNECT_TIMEOUT' })), CONNECT_MS);
  const stop = () => clearTimeout(timer);
  socket.once('connect', stop).once('close', stop);
});

const answer = (res, no) => {
  if (res.headersSent) return res.destroy();
  res.writeHead(no.status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff',
    'x-runbook-gateway': no.why, ...no.more });
  res.end(no.text + '\n');
};

const offer = (req, res) => {
  if (!CA_FILE || req.url !== '/ca.crt' || !['GET', 'HEAD'].includes(req.method)) return answer(res, refuse(404, 'unknown', 'Nothing is served at this name.'));
  res.writeHead(200, { 'content-type': 'application/x-x509-ca-cert', 'content-disposition': 'attachment; filename="ca.crt"', 'x-runbook-gateway': 'ca' });
  res.end(req.method === 'HEAD' ? undefined : fs.readFileSync(CA_FILE));
};

const serve = async (req, res) => {
  if (label(req.headers.host) === '') return offer(req, res);
  const way = await decide(req);
  if (way.status) {
    req.resume();
    return answer(res, way);
  }
  forward(req, res, way, true);
};

const forward = (req, res, way, again) => {
  const bare = ['GET', 'HEAD'].includes(req.method) && !req.headers['content-length'] && !req.headers['transfer-encoding'];
  const up = http.request({ ...way.options, agent });
  connectTimeout(up);
  up.on('response', (found) => {
    // A sign-in that fails is a page again, 200; everything else was not one.
    if (found.statusCode !== 200) way.giveBack();
    res.writeHead(found.statusCode, found.statusMessage, back(found, way.to, way.open));
    res.flushHeaders();
    found.pipe(res);
    found.on('error', () => res.destroy());
  });
  up.on('error', (error) => {
    // The workspace closed a kept connection just as it was used again.
    if (again && bare && up.reusedSocket && error.code === 'ECONNRESET' && !res.headersSent) return forward(req, res, way, false);
    way.giveBack();
    answer(res, failed(error, way));
  });
  res.on('close', () => { if (!res.writableFinished) up.destroy(); });
  req.on('error', () => up.destroy());
  if (bare) up.end();
  else req.pipe(up);
};

const upgrade = async (req, socket, head) => {
  socket.on('error', () => socket.destroy());
  const raw = (status, message, headers, body) => {
    const lines = [`HTTP/1.1 ${status} ${message}`];
    for (const [name, value] of Object.entries(headers)) for (const one of [].concat(value)) lines.push(`${name}: ${one}`);
    socket.write(lines.join('\r\n') + '\r\n\r\n' + (body || ''));
  };
  const no = (reason) => {
    raw(reason.status, http.STATUS_CODES[reason.status], { connection: 'close', 'content-type': 'text/plain', 'x-runbook-gateway': reason.why, ...reason.more }, reason.text + '\n');
    socket.end();
  };
  const way = label(req.headers.host) === '' ? refuse(404, 'unknown', 'Nothing is served at this name.') : await decide(req);
  if (way.status) return no(way);
  const headers = { ...way.options.headers, connection: 'Upgrade', upgrade: req.headers.upgrade };
  const up = http.request({ ...way.options, headers, agent: false });
  connectTimeout(up);
  up.on('upgrade', (found, far, first) => {
    raw(101, 'Switching Protocols', { ...back(found, way.to, way.open), connection: 'Upgrade', upgrade: found.headers.upgrade || req.headers.upgrade });
    for (const end of [socket, far]) {
      end.setTimeout(0);
      end.setNoDelay(true);
      end.setKeepAlive(true, 30000); // an idle one stays; a peer that vanished is noticed
    }
    far.on('error', () => socket.destroy()).on('close', () => socket.destroy());
    socket.on('close', () => far.destroy());
    if (first.length) socket.write(first);
    if (head.length) far.write(head);
    far.pipe(socket);
    socket.pipe(far);
  });
  up.on('response', (found) => {
    raw(found.statusCode, found.statusMessage, { ...back(found, way.to, way.open), connection: 'close' });
    found.pipe(socket);
  });
  up.on('error', (error) => no(failed(error, way)));
  socket.on('close', () => up.destroy());
  up.end();
};

const oops = (error) => console.error(new Date().toISOString(), error.stack || error);

const main = () => {
  if (!DOMAIN) throw new Error('DOMAIN is not set');
  // No limit on a request as a whole: an upload may take its time. Longer idle than the controller's, so that it closes first.
  const server = http.createServer({ requestTimeout: 0, headersTimeout: 60000, keepAliveTimeout: 125000, maxHeaderSize: 65536 });
  server.on('request', (req, res) => serve(req, res).catch((error) => { oops(error); answer(res, refuse(502, 'broken', 'The gateway failed.')); }));
  server.on('upgrade', (req, socket, head) => upgrade(req, socket, head).catch((error) => { oops(error); socket.destroy(); }));
  server.listen(8080, () => console.log(`gateway of ${DOMAIN}, Services below ${SERVICES}`));
  let leaving = false;
  http.createServer((req, res) => { res.writeHead(leaving ? 503 : 200); res.end(); }).listen(8081);
  process.on('SIGTERM', () => {
    leaving = true;
    // The controller learns of it a moment later: go on serving until then.
    setTimeout(() => { server.close(() => process.exit(0)); setTimeout(() => process.exit(0), 15000); }, 5000);
  });
};

if (require.main === module) main();
else module.exports = { parse, label, clusterDomain, take, onward, back, session, DOMAIN };
