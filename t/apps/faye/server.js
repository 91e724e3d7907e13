// node server.js PORT NAME: a Bayeux server that writes its name into what is published.
const faye = require("faye");

const [port, name] = process.argv.slice(2);
const bayeux = new faye.NodeAdapter({ mount: "/faye", timeout: 2 });
bayeux.addExtension({
  incoming: (message, pass) => {
    if (message.data && !message.channel.startsWith("/meta/")) message.data.name = name;
    pass(message);
  },
});
const http = require("http").createServer();
bayeux.attach(http);
http.listen(Number(port), "127.0.0.1");
