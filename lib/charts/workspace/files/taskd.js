// The tasks of .gitpod.yml: each in a terminal of its own from the start of the workspace on, whether somebody looks or not.
//   taskd.js run         run them and serve their terminals
//   taskd.js attach N    show the terminal of task N here
//   taskd.js list        what each is doing
// Runs on the IDE's node, with the IDE's node-pty.
'use strict';
const fs = require('fs');
const net = require('net');
const path = require('path');

const TASKS = '/opt/runbook-tasks/tasks.json';
const RUN = '/run/runbook';
const STATE = '/workspace/.runbook/tasks';
const KEPT = 256 * 1024; // bytes of output that a new viewer is shown

const tasks = () => JSON.parse(fs.readFileSync(TASKS, 'utf8'));
const socket = (n) => path.join(RUN, `task-${n}.sock`);
const initFile = (n) => path.join(STATE, `${n}.init`);
const read = (file) => { try { return fs.readFileSync(file, 'utf8').trim(); } catch { return ''; } };
const title = (task, n) => task.name || `Task ${n + 1}`;
const quote = (text) => `'${text.replace(/'/g, `'\\''`)}'`;

// The commands as Gitpod joins them: groups of their own, the first failure stops the task. `init` runs until it has ended
// once; its state tells a restart. A workspace stopped in the middle of init begins it again.
function script(task, n) {
  const first = !['ended', 'endless'].includes(read(initFile(n)));
  const mark = (state) => `echo ${state} >${initFile(n)}`;
  const group = (text) => `{\n${text}\n}`;
  const chain = [];
  if (task.before.trim()) chain.push(group(task.before));
  if (first) {
    chain.push(mark('begun'));
    if (task.init.trim()) chain.push(group(task.init));
    chain.push(mark('ended'));
  }
  if (task.command.trim()) chain.push(group(task.command));
  const env = Object.entries(task.env).map(([k, v]) => `export ${k}=${quote(v)}\n`).join('');
  // The shell goes on as the person's own, where the task left it.
  return `[ ! -r ~/.bashrc ] || . ~/.bashrc\n${env}echo running >${RUN}/task-${n}.state\n${chain.join(' && ') || ':'}\n`
    + `__status=$?\n[ "$(cat ${initFile(n)} 2>/dev/null)" != begun ] || ${mark('ended')}\n`
    + `echo "ended $__status" >${RUN}/task-${n}.state\n(exit $__status)\n`;
}

function nodePty() {
  const root = process.env.IDE_ROOT;
  const places = [root, path.join(root, 'node_modules/code-server')];
  const found = places.map((p) => path.join(p, 'lib/vscode/node_modules/node-pty')).find((p) => fs.existsSync(p));
  if (!found) throw new Error(`no node-pty below ${root}`);
  return require(found);
}

function start(pty, task, n) {
  const file = path.join(RUN, `task-${n}.sh`);
  fs.writeFileSync(file, script(task, n));
  const bash = path.basename(process.env.SHELL) === 'bash';
  const terminal = pty.spawn(process.env.SHELL, bash ? ['--rcfile', file, '-i'] : ['-i'], {
    name: 'xterm-256color', cols: 120, rows: 30, cwd: process.env.WORKSPACE_FOLDER,
    env: { ...process.env, TERM: 'xterm-256color', ...(bash ? {} : { ENV: file }) },
  });
  let kept = Buffer.alloc(0);
  const viewers = new Set();
  const show = (data) => {
    const bytes = Buffer.from(data);
    kept = Buffer.concat([kept, bytes]).subarray(-KEPT);
    viewers.forEach((v) => v.write(bytes));
    fs.appendFile(path.join(RUN, `task-${n}.log`), bytes, () => {});
  };
  terminal.onData(show);
  const limit = Number(process.env.INIT_LIMIT) * 1000;
  const endless = setTimeout(() => {
    if (read(initFile(n)) !== 'begun') return;
    fs.writeFileSync(initFile(n), 'endless');
    const said = `init of "${title(task, n)}" is still running after ${limit / 1000} s. A server belongs in command, not in init; `
      + 'init will not run again, and command waits for its end.';
    console.log(`workspace: ${said}`);
    show(`\r\n\x1b[33m${said}\x1b[0m\r\n`);
  }, limit);
  try { fs.unlinkSync(socket(n)); } catch { /* none there */ }
  const server = net.createServer((viewer) => {
    viewers.add(viewer);
    viewer.write(kept);
    let rest = '';
    viewer.on('data', (data) => {
      const lines = (rest + data).split('\n');
      rest = lines.pop();
      for (const line of lines) {
        const message = JSON.parse(line);
        if (message.type !== undefined) terminal.write(message.type);
        if (message.size) terminal.resize(Math.max(2, message.size[0]), Math.max(2, message.size[1]));
      }
    });
    viewer.on('close', () => viewers.delete(viewer));
    viewer.on('error', () => viewers.delete(viewer));
  }).listen(socket(n));
  return new Promise((resolve) => terminal.onExit(({ exitCode }) => {
    clearTimeout(endless);
    if (read(initFile(n)) === 'begun') fs.writeFileSync(initFile(n), 'ended'); // `exit` in init
    fs.writeFileSync(path.join(RUN, `task-${n}.state`), `closed ${exitCode}`);
    viewers.forEach((v) => v.end());
    server.close();
    resolve();
  }));
}

async function run() {
  fs.mkdirSync(STATE, { recursive: true });
  process.on('SIGTERM', () => process.exit(0));
  const pty = nodePty();
  await Promise.all(tasks().map((task, n) => start(pty, task, n)));
  setInterval(() => {}, 1 << 30); // all are closed: nothing is to be started again
}

function attach(n) {
  const connection = net.connect(socket(n));
  const send = (message) => connection.write(`${JSON.stringify(message)}\n`);
  const size = () => process.stdout.columns && send({ size: [process.stdout.columns, process.stdout.rows] });
  connection.on('connect', () => {
    if (process.stdin.isTTY) process.stdin.setRawMode(true);
    process.stdin.on('data', (data) => send({ type: data.toString() }));
    process.stdout.on('resize', size);
    size();
  });
  connection.pipe(process.stdout);
  connection.on('close', () => process.exit(0));
  connection.on('error', (error) => {
    console.error(error.code === 'ENOENT' || error.code === 'ECONNREFUSED' ? `gp: task ${n} has no open terminal` : `gp: ${error.message}`);
    process.exit(1);
  });
}

function list() {
  const word = { begun: 'init running', ended: 'init done', endless: 'init still running after its limit' };
  tasks().forEach((task, n) => console.log([n, title(task, n), read(`${RUN}/task-${n}.state`) || 'not started',
    task.init.trim() ? word[read(initFile(n))] || '' : ''].join('\t')));
}

const [verb, n = '0'] = process.argv.slice(2);
({ run, list, attach: () => attach(n) })[verb]();
