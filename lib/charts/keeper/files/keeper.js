'use strict';
// Stops workspaces: those in which nobody has worked for as long as their pod's annotation `runbook/idle-stop` says (seconds; 0:
// never), and those that ask for it (`gp stop`: POST /stop). Who asks is told by the address that the request comes from: nothing
// that a workspace sends can name another one.
//
// What code-server says of itself at /healthz, without signing in, is when it last saw somebody at work: `lastHeartbeat`. It is
// asked anew on each look and nothing is kept here but the latest beat of each pod, so that a keeper may be restarted at any time.
// A workspace that does not answer, or not that, is not stopped: its own probes restart it.
//
// The rights: list pods everywhere, set the scale of StatefulSets where a RoleBinding says so.
const fs = require('fs');
const http = require('http');
const https = require('https');

const CHECK_MS = Number(process.env.CHECK_EVERY || 15) * 1000;
const ACCOUNT = process.env.ACCOUNT || '/var/run/secrets/kubernetes.io/serviceaccount';
const API = { host: process.env.KUBERNETES_SERVICE_HOST, port: process.env.KUBERNETES_SERVICE_PORT };
const LABELS = 'app.kubernetes.io/name=workspace,app.kubernetes.io/part-of=runbook';
const LIMIT = 'runbook/idle-stop';
const ANSWER_MS = 3000, API_MS = 10000, ANSWERED_MS = 1000, PAGE = 100, LONGEST = 4096;

// -- what is asked -----------------------------------------------------------

// The body of an answer, no longer than `longest` bytes, within `ms` from beginning to end.
const ask = (client, options, ms, longest, body) => new Promise((resolve, reject) => {
  const request = client.request({ ...options, signal: AbortSignal.timeout(ms), agent: false }, (answer) => {
    let text = '';
    answer.setEncoding('utf8');
    answer.on('data', (part) => {
      text += part;
      if (text.length <= longest) return;
      reject(new Error('the answer is too long'));
      request.destroy();
    });
    answer.on('end', () => (answer.statusCode < 300 ? resolve(text) : reject(new Error(`status ${answer.statusCode}: ${text.slice(0, 300)}`))));
    answer.on('error', reject);
  });
  request.on('error', reject);
  request.end(body);
});

// The token is read each time: the kubelet renews it.
const api = async (method, path, body) => JSON.parse(await ask(https, {
  ...API, method, path, ca: fs.readFileSync(`${ACCOUNT}/ca.crt`),
  headers: { authorization: `Bearer ${fs.readFileSync(`${ACCOUNT}/token`, 'utf8').trim()}`, accept: 'application/json',
    'user-agent': 'runbook-keeper', ...(body ? { 'content-type': 'application/merge-patch+json' } : {}) },
}, API_MS, Infinity, body && JSON.stringify(body)));

// Pods of workspaces, a page at a time, so that no more than a page is held.
const pods = async function* (more = '') {
  let next = '';
  do {
    const page = await api('GET', `/api/v1/pods?limit=${PAGE}&labelSelector=${encodeURIComponent(LABELS)}${more}&continue=${encodeURIComponent(next)}`);
    yield page.items;
    next = page.metadata.continue || '';
  } while (next);
};

// -- what it means -----------------------------------------------------------

// A pod as the keeper sees it; null for one that is no running workspace.
const workspace = (pod) => {
  const owner = (pod.metadata.ownerReferences || []).find((one) => one.controller && one.kind === 'StatefulSet');
  const web = (pod.status.containerStatuses || []).find((one) => one.name === 'web');
  const started = web && web.state.running ? Date.parse(web.state.running.startedAt) : NaN;
  if (!owner || !started || pod.metadata.deletionTimestamp || !pod.status.podIP) return null;
  const port = (pod.spec.containers.find((one) => one.name === 'web').ports || []).find((one) => one.name === 'ide');
  return { uid: pod.metadata.uid, namespace: pod.metadata.namespace, name: owner.name, address: pod.status.podIP, started,
    port: port ? port.containerPort : 0, limit: Number((pod.metadata.annotations || {})[LIMIT] || 0) };
};

// Milliseconds since somebody worked in it, or since it was started; a beat from the future is taken for now.
const idle = (one, beat, now) => Math.max(0, now - Math.max(one.started, beat || 0));
const isOver = (one, beat, now) => one.limit > 0 && idle(one, beat, now) >= one.limit * 1000;

// -- what is done ------------------------------------------------------------

const say = (...words) => console.log(new Date().toISOString(), ...words);
const scale = (one, more = '') => api('PATCH',
  `/apis/apps/v1/namespaces/${one.namespace}/statefulsets/${one.name}/scale?fieldManager=runbook-keeper${more}`, { spec: { replicas: 0 } });
const stop = async (one, why) => {
  await scale(one);
  say(`stopped ${one.namespace}/${one.name}: ${why}`);
};

const beats = new Map(); // uid → the latest beat: a code-server that was restarted has forgotten its own
const look = async (one) => {
  const said = JSON.parse(await ask(http, { host: one.address, port: one.port, path: '/healthz' }, ANSWER_MS, LONGEST));
  if (!Number.isFinite(said.lastHeartbeat)) throw new Error('its /healthz does not say when somebody last worked');
  const beat = Math.max(said.lastHeartbeat, beats.get(one.uid) || 0);
  beats.set(one.uid, beat);
  if (isOver(one, beat, Date.now())) await stop(one, `nobody has worked in it for ${Math.round(idle(one, beat, Date.now()) / 1000)} s`);
};

const round = async () => {
  const seen = new Set();
  for await (const page of pods()) {
    const watched = page.map(workspace).filter((one) => one && one.limit > 0 && one.port);
    const outcomes = await Promise.allSettled(watched.map(look));
    outcomes.forEach((outcome, i) => { if (outcome.reason) say(`${watched[i].namespace}/${watched[i].name}: ${outcome.reason.message}`); });
    watched.forEach((one) => seen.add(one.uid));
  }
  for (const uid of beats.keys()) if (!seen.has(uid)) beats.delete(uid);
};

// Whose address it is that asks: {status, text}.
const asked = async (address) => {
  for await (const page of pods(`&fieldSelector=status.podIP%3D${encodeURIComponent(address)}`)) {
    const one = page.map(workspace).find((found) => found && found.address === address);
    if (!one) continue;
    await scale(one, '&dryRun=All'); // seen to be allowed; then the answer, which must arrive before the workspace ends
    setTimeout(() => stop(one, 'asked by gp stop').catch((error) => say(error.message)), ANSWERED_MS);
    return { status: 200, text: 'This workspace stops now. Files, settings and data stay.' };
  }
  return { status: 403, text: 'Nothing is stopped: this address is no workspace.' };
};

const serve = async (req, res) => {
  req.resume();
  let said = { status: 404, text: 'POST /stop stops the workspace that asks.' };
  if (req.method === 'POST' && req.url === '/stop')
    said = await asked(req.socket.remoteAddress.replace(/^::ffff:/, '')).catch((error) => {
      say(`gp stop of ${req.socket.remoteAddress}: ${error.message}`);
      return { status: 502, text: 'The cluster did not stop this workspace; tell the operator.' };
    });
  res.writeHead(said.status, { 'content-type': 'text/plain; charset=utf-8' });
  res.end(said.text + '\n');
};

const main = async () => {
  let last = 0;
  http.createServer({ requestTimeout: 10000, headersTimeout: 5000 }, serve).listen(8080);
  http.createServer((req, res) => { res.writeHead(Date.now() - last < 4 * CHECK_MS + 60000 ? 200 : 503); res.end(); }).listen(8081);
  process.on('SIGTERM', () => process.exit(0));
  say(`looking at the workspaces every ${CHECK_MS / 1000} s`);
  for (;;) {
    await round().then(() => { last = Date.now(); }, (error) => say(`no look at the workspaces: ${error.message}`));
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS));
  }
};

if (require.main === module) main();
else module.exports = { workspace, idle, isOver, round, asked };
