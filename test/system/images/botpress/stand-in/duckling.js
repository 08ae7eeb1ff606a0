/** Duckling: system entities over HTTP. `./duckling -p 8000`. */
import { createServer } from 'node:http';
import { parseFlags } from './flags.js';

const port = Number(parseFlags(process.argv.slice(2)).p ?? 8000);
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
createServer((request, response) => {
  if (request.url === '/parse') {
    response.writeHead(200, { 'Content-Type': 'application/json' }).end('[]');
  } else {
    response.writeHead(200, { 'Content-Type': 'text/plain' }).end('quack!');
  }
}).listen(port, () => console.log(`Listening on http://0.0.0.0:${port}`));
