/* global SwaggerUIBundle */
// The page's only script of ours. It keeps nothing: a key lives as long as the page.

const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

const streamPanel = document.querySelector('#stream');
const streamTitle = document.querySelector('#stream-title');
const streamEvents = document.querySelector('#stream-events');
document.querySelector('#stream-close').addEventListener('click', () => {
  streamPanel.hidden = true;
});

// The viewer shows an answer when it has ended; events are for looking at while they come.
async function fetchAndShow(url, options) {
  const response = await fetch(url, options);
  const type = response.headers.get('content-type') ?? '';
  if (!type.startsWith('text/event-stream') || response.body === null) return response;
  const [shown, kept] = response.body.tee();
  show(`${options.method ?? 'GET'} ${new URL(url, location.href).pathname}`, shown);
  const { status, statusText, headers } = response;
  const copy = new Response(kept, { status, statusText, headers });
  Object.defineProperty(copy, 'url', { value: response.url });
  return copy;
}

async function show(title, stream) {
  streamTitle.textContent = title;
  streamEvents.replaceChildren();
  streamPanel.hidden = false;
  let rest = '';
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    const parts = (rest + value).split('\n\n');
    rest = parts.pop();
    for (const part of parts) addEvent(part);
  }
  streamTitle.textContent = `${title}: ended`;
}

function addEvent(text) {
  const fields = new Map(text.split('\n').map((line) => line.split(/: (.*)/s)));
  if (!fields.has('event')) return;
  const name = fields.get('event');
  const last = streamEvents.lastElementChild;
  const data = JSON.parse(fields.get('data') ?? 'null');
  // Text comes in pieces of one field: they are read as one line that grows.
  if (name === 'token' && last?.dataset.field === `${data.predictor}.${data.field}`) {
    last.lastElementChild.textContent += data.text;
  } else {
    const item = document.createElement('li');
    const label = document.createElement('b');
    label.textContent = name === 'token' ? data.field : name;
    const words = document.createElement('span');
    words.textContent = inWords(name, data);
    if (name === 'token') item.dataset.field = `${data.predictor}.${data.field}`;
    item.append(label, words);
    streamEvents.append(item);
  }
  streamEvents.scrollTop = streamEvents.scrollHeight;
}

function inWords(name, data) {
  if (name === 'token') return data.text;
  if (name === 'state') return data.status;
  if (name === 'step') return `${data.step} ${data.status}`;
  return JSON.stringify(data, null, 2);
}

SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 2,
  displayRequestDuration: true,
  filter: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  // Otherwise the description would be sent to a validator on the internet.
  validatorUrl: null,
  requestInterceptor: (request) => {
    request.userFetch = fetchAndShow;
    return request;
  },
});
