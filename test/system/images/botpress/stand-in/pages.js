/** The pages: small, with inline scripts like the real ones, so that a strict Content-Security-Policy blanks them. */

/** @param {Record<string, string | boolean | string[]>} env what the real pages call window.API_PATH and so on */
export function environmentScript(env) {
  return Object.entries(env)
    .map(([name, value]) => `window.${name} = ${JSON.stringify(value).replaceAll('<', '\\u003c')};`)
    .join('\n');
}

/** @param {string} title @param {string} env @param {string} basePath @param {string} bundle */
function page(title, env, basePath, bundle) {
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>${escapeHtml(title)}</title>
<script>${env}</script>
<link rel="stylesheet" href="${basePath}/assets/${bundle}/main.css">
</head>
<body>
<div id="app"></div>
<script src="${basePath}/assets/${bundle}/main.js"></script>
<script>document.getElementById('app').textContent = 'ready';</script>
</body>
</html>
`;
}

/** @param {string} bot */
export function studioPage(bot) {
  return page(`Botpress Studio - ${bot}`, environmentScript({ BOT_ID: bot }), '', 'studio-ui');
}

/** @param {string} env @param {string} basePath */
export function adminPage(env, basePath) {
  return page('Botpress Admin Panel', env, basePath, 'ui-admin');
}

/** @param {string} bot @param {string} env @param {string} basePath */
export function webchatPage(bot, env, basePath) {
  return page(`Webchat - ${bot}`, env, basePath, 'ui-lite');
}

export const LOADING_PAGE =
  '<html><head><meta http-equiv="refresh" content="2"></head><body>Botpress is loading. Please try again in a minute.</body></html>';

/** Files that the server writes to data/assets at each start. */
export const ASSETS = {
  'modules/channel-web/inject.js': `(function () {
  function init(config, selector) {
    var host = config.host || window.ROOT_PATH || '';
    var frame = document.createElement('iframe');
    var options = encodeURIComponent(JSON.stringify({ config: config }));
    frame.id = config.chatId || 'bp-widget';
    frame.src = host + '/lite/' + (config.botId || '') + '/?m=channel-web&v=Embedded&options=' + options;
    document.querySelector(selector || 'body').appendChild(frame);
  }
  window.botpressWebChat = { init: init };
})();
`,
  'modules/channel-web/inject.css': '.bp-widget-web { border: 0; }\n',
  'modules/channel-web/default.css': 'body { margin: 0; }\n',
  'ui-lite/main.js': 'window.liteLoaded = true;\n',
  'ui-lite/main.css': 'body { margin: 0; }\n',
  'ui-admin/main.js': 'window.adminLoaded = true;\n',
  'ui-admin/main.css': 'body { margin: 0; }\n',
  'studio-ui/main.js': 'window.studioLoaded = true;\n',
  'studio-ui/main.css': 'body { margin: 0; }\n',
};

function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
