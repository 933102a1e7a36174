// One request an iteration; what to ask and how often is in the plan that runbook.load.scenario writes.
import http from 'k6/http';
import exec from 'k6/execution';
import { Gauge, Trend } from 'k6/metrics';

const plan = JSON.parse(open(__ENV.RUNBOOK_PLAN));
export const options = plan.options;

const took = new Trend('runbook_took', true);
const began = new Gauge('runbook_began');

export default function () {
  const turn = exec.scenario.iterationInTest;
  if (turn === 0) began.add(exec.scenario.startTime);
  const path = plan.turn[turn % plan.turn.length];  // a number: tags are written into the CSV as they are
  const clock = Date.now();
  const answer = http.get(plan.url + plan.paths[path], { timeout: plan.timeout });
  const t = answer.timings;
  // What the visitor waits for: "blocked" holds looking up, connecting and TLS (k6's tracer.go measures it from getConn to
  // gotConn), "duration" sending, waiting and receiving. A request without an answer has no whole set of them.
  const wait = answer.status ? t.blocked + t.duration : Math.max(t.blocked + t.duration, Date.now() - clock);
  took.add(wait, { path: String(path), status: String(answer.status), error: String(answer.error_code) });
}
