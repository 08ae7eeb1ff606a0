// The part of Google Cloud Storage's JSON API that rclone uses: tokens for a signed assertion of a service account, list,
// insert (multipart and resumable), read, delete. Objects live in memory. No public package does this; what is shown with
// it is that rclone is set up rightly, not how Google behaves.
import { createHash, randomBytes, verify } from 'node:crypto';
import { createServer } from 'node:http';

const key = process.env.ACCOUNT_KEY;
const tokens = new Set();
const objects = new Map();
const uploads = new Map();

const describe = (name, host) => {
  const { content, metadata } = objects.get(name);
  return {
    kind: 'storage#object',
    name,
    bucket: 'sets',
    size: String(content.length),
    md5Hash: createHash('md5').update(content).digest('base64'),
    metadata,
    updated: new Date().toISOString(),
    mediaLink: `http://${host}/download/${encodeURIComponent(name)}`,
  };
};

const read = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts);
};

/** The two parts of a multipart/related body: JSON and content. */
function splitParts(body, type) {
  const boundary = `--${/boundary="?([^";]+)/.exec(type)[1]}`;
  const parts = [];
  for (let at = body.indexOf(boundary); ;) {
    const next = body.indexOf(boundary, at + boundary.length);
    if (next < 0) return parts;
    const part = body.subarray(at + boundary.length + 2, next - 2);
    parts.push(part.subarray(part.indexOf('\r\n\r\n') + 4));
    at = next;
  }
}

function grant(body) {
  const [head, claims, signature] = (new URLSearchParams(String(body)).get('assertion') ?? '').split('.');
  if (!verify('sha256', Buffer.from(`${head}.${claims}`), key, Buffer.from(signature ?? '', 'base64url')))
    return [400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }];
  const token = randomBytes(16).toString('hex');
  tokens.add(token);
  return [200, { access_token: token, token_type: 'Bearer', expires_in: 3600 }];
}

function list(query) {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter');
  const items = [];
  const prefixes = new Set();
  for (const name of objects.keys()) {
    if (!name.startsWith(prefix)) continue;
    const end = delimiter ? name.indexOf(delimiter, prefix.length) : -1;
    if (end < 0) items.push(name);
    else prefixes.add(name.slice(0, end + 1));
  }
  return { items, prefixes: [...prefixes] };
}

async function answer(request, url, host) {
  const { method } = request;
  const body = await read(request);
  if (url.pathname === '/token') return grant(body);
  if (!tokens.has((request.headers.authorization ?? '').replace('Bearer ', '')))
    return [401, { error: { code: 401, message: 'Invalid Credentials' } }];
  const [, area, name] =
    /^\/(?:(upload)\/)?storage\/v1\/b\/sets\/o(?:\/(.*))?$/.exec(url.pathname) ??
    /^\/(download)\/(.*)$/.exec(url.pathname) ??
    [];
  const object = name === undefined ? undefined : decodeURIComponent(name);
  if (area === 'upload' && url.searchParams.get('uploadType') === 'multipart') {
    const [json, content] = splitParts(body, request.headers['content-type']);
    const { name: to, metadata } = JSON.parse(json);
    objects.set(to, { content: Buffer.from(content), metadata });
    return [200, describe(to, host)];
  }
  if (area === 'upload' && method === 'POST') {
    const id = randomBytes(8).toString('hex');
    uploads.set(id, { ...JSON.parse(body), parts: [] });
    return [
      200,
      {},
      { location: `http://${host}/upload/storage/v1/b/sets/o?uploadType=resumable&upload_id=${id}` },
    ];
  }
  if (area === 'upload') {
    const upload = uploads.get(url.searchParams.get('upload_id'));
    upload.parts.push(body);
    const length = upload.parts.reduce((sum, part) => sum + part.length, 0);
    if (request.headers['content-range'].endsWith('/*'))
      return [308, undefined, { range: `bytes=0-${length - 1}`, 'x-http-status-code-override': '308' }];
    objects.set(upload.name, { content: Buffer.concat(upload.parts), metadata: upload.metadata });
    return [200, describe(upload.name, host)];
  }
  if (object === undefined && url.pathname.includes('/b/sets/o')) {
    const { items, prefixes } = list(url.searchParams);
    return [200, { kind: 'storage#objects', prefixes, items: items.map((item) => describe(item, host)) }];
  }
  if (object === undefined || !objects.has(object))
    return [404, { error: { code: 404, message: 'Not Found' } }];
  if (method === 'DELETE') return [objects.delete(object) ? 204 : 404];
  if (area === 'download' || url.searchParams.get('alt') === 'media')
    return [200, objects.get(object).content, { 'content-type': 'application/octet-stream' }];
  return [200, describe(object, host)];
}

createServer((request, response) => {
  const { host } = request.headers;
  answer(request, new URL(request.url, `http://${host}`), host)
    .catch((error) => [500, { error: { code: 500, message: error.message } }])
    .then(([status, content, headers = {}]) => {
      const body = Buffer.isBuffer(content) || content === undefined ? content : JSON.stringify(content);
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body);
    });
}).listen(4443, '0.0.0.0');
