// Stands for the operations service where a repository has none: serves its metrics, with figures that move.
import http from 'node:http';

const started = Date.now();

function text() {
  const seconds = Math.floor((Date.now() - started) / 1000) + 1;
  const lines = [];
  const add = (name, type, series) => {
    lines.push(`# TYPE ${name} ${type}`);
    for (const [labels, value] of series) lines.push(`${name}${labels} ${value}`);
  };
  const components = ['botpress', 'database', 'redis', 'messaging', 'nlu', 'language'];
  add(
    'botpress_up',
    'gauge',
    components.map((name) => [`{component="${name}"}`, 1]),
  );
  add(
    'botpress_probe_duration_seconds',
    'gauge',
    components.map((name) => [`{component="${name}"}`, 0.01]),
  );
  add('botpress_messages_total', 'counter', [
    ['{direction="incoming"}', seconds * 2],
    ['{direction="outgoing"}', seconds * 3],
  ]);
  add('botpress_conversations_active', 'gauge', [['', 4]]);
  add('botpress_errors_logged_total', 'counter', [['', 3]]);
  add('botpress_event_queue_age_seconds', 'gauge', [['', 0.2]]);
  add('botpress_training_sessions', 'gauge', [['{state="done"}', 1]]);
  add('botpress_migration_level', 'gauge', [['{version="12.31.10"}', 1]]);
  add('botpress_migration_pending', 'gauge', [['', 0]]);
  add('botpress_bot_errors_total', 'counter', [['{bot="support"}', 1]]);
  add('botpress_pg_pool_connections', 'gauge', [
    ['{state="total"}', 2],
    ['{state="idle"}', 2],
    ['{state="waiting"}', 0],
  ]);
  add('botpress_cache_requests_total', 'counter', [
    ['{level="memory",result="hit"}', seconds * 5],
    ['{level="memory",result="miss"}', seconds],
  ]);
  add('botpress_http_requests_total', 'counter', [
    ['{class="webchat",status="200"}', seconds * 10],
    ['{class="webchat",status="502"}', Math.floor(seconds / 10)],
    ['{class="converse",status="200"}', seconds * 4],
    ['{class="admin",status="200"}', seconds],
  ]);
  const buckets = ['0.1', '0.5', '1', '5', '+Inf'].map((le, index) => [
    `_bucket{class="webchat",le="${le}"}`,
    seconds * (6 + index),
  ]);
  add('botpress_http_request_duration_seconds', 'histogram', [
    ...buckets,
    ['_sum{class="webchat"}', seconds * 3],
    ['_count{class="webchat"}', seconds * 10],
  ]);
  return `${lines.join('\n')}\n`;
}

http
  .createServer((request, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4');
    response.end(text());
  })
  .listen(9464);
