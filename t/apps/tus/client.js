// node client.js URL UPLOADS: that many uploads at once, each in pieces.
const tus = require("tus-js-client");
const sessions = require("../lib/sessions.js");

const [url, uploads] = process.argv.slice(2);

sessions(uploads, (number) => new Promise((done, fail) => {
  const names = new Set();
  const upload = new tus.Upload(Buffer.alloc(5000, number), {
    endpoint: `${url}/files/`,
    chunkSize: 700,
    retryDelays: null,
    onAfterResponse: (_, response) => names.add(response.getHeader("X-Backend")),
    onError: fail,
    onSuccess: () => {
      try { done(sessions.one(names)); } catch (error) { fail(error); }
    },
  });
  upload.start();
}));
