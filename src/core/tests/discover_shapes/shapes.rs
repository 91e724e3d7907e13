//! What sessions of real applications send and get.

/// An application: its name, the line that is known to be right, the line that is proposed, and
/// what a session does. `{id}` is its id, `{two}` another value of its own, `{once}` a value of
/// this step, `{all}` one that all sessions have.
pub struct Shape {
    pub name: &'static str,
    pub right: &'static str,
    pub proposed: &'static str,
    pub steps: &'static [(&'static str, &'static str)],
}

const HTML: &str = "Content-Type: text/html\n\n";
const UPGRADE: &str = "Upgrade: websocket\nSec-WebSocket-Accept: {once}\n\n";

pub const SHAPES: &[Shape] = &[
    Shape {
        name: "PHP use_trans_sid",
        right: "sticky mode=query name=sid;",
        proposed: "sticky mode=query name=sid;",
        steps: &[
            ("GET /", "Content-Type: text/html\n\n<a href=\"/cart?sid={id}&amp;a=1\">x</a><form action=/buy><input type=hidden name=\"sid\" value=\"{id}\" /></form><img src=/i/{all}.png>"),
            ("GET /cart?sid={id}&a=1", "Content-Type: text/html\n\n<a href='/cart?sid={id}'>x</a><a href=/art?product={all}>"),
            ("POST /buy\nContent-Type: application/x-www-form-urlencoded\n\nsid={id}&n=1", "Location: /done?sid={id}\n\n"),
            ("GET /done?sid={id}", "Content-Type: text/html\n\n<a href='/cart?sid={id}'>x</a>"),
        ],
    },
    Shape {
        name: "PHP, cookie",
        right: "sticky mode=query name=PHPSESSID from=cookie learn=cookie;",
        proposed: "sticky mode=query name=PHPSESSID from=cookie learn=cookie;",
        steps: &[
            ("GET /", "Set-Cookie: PHPSESSID={id}; path=/\nContent-Type: text/html\n\n<a href=/a/{all}>"),
            ("GET /a\nCookie: PHPSESSID={id}; theme=dark", HTML),
            ("GET /b\nCookie: PHPSESSID={id}", "Content-Type: text/html\n\n<input type=hidden name=csrf value={once}>"),
        ],
    },
    Shape {
        name: "Django, session and CSRF cookies",
        right: "sticky mode=query name=sessionid from=cookie learn=cookie;",
        proposed: "sticky mode=query name=sessionid from=cookie learn=cookie;",
        steps: &[
            ("GET /login", "Set-Cookie: csrftoken={two}; path=/\nContent-Type: text/html\n\n<form><input type=hidden name=csrfmiddlewaretoken value={once}>"),
            ("POST /login\nCookie: csrftoken={two}\nContent-Type: application/x-www-form-urlencoded\n\nuser=a", "Set-Cookie: sessionid={id}\nSet-Cookie: csrftoken={two}\nLocation: /\n\n"),
            ("GET /\nCookie: csrftoken={two}; sessionid={id}", HTML),
            ("GET /a\nCookie: csrftoken={two}; sessionid={id}", HTML),
            ("GET /b\nCookie: csrftoken={two}; sessionid={id}", HTML),
            ("GET /c\nCookie: csrftoken={two}; sessionid={id}", HTML),
            ("GET /d\nCookie: csrftoken={two}; sessionid={id}", HTML),
        ],
    },
    Shape {
        name: "Tomcat encodeURL",
        right: "sticky mode=query name=JSESSIONID from=cookie,path id_delimiter=.;",
        proposed: "sticky mode=query name=JSESSIONID;",
        steps: &[
            ("GET /shop", "Set-Cookie: JSESSIONID={id}; Path=/shop; HttpOnly\nContent-Type: text/html\n\n<a href='/shop/cart;jsessionid={id}?a=1'>x</a>"),
            ("GET /shop/cart;jsessionid={id}?a=1\nCookie: JSESSIONID={id}", "Content-Type: text/html\n\n<a href='/shop/cart;jsessionid={id}'>x</a>"),
            ("GET /shop/cart;jsessionid={id}", "Content-Type: text/html\n\n<a href='/shop/cart;jsessionid={id}'>x</a>"),
        ],
    },
    Shape {
        name: "Socket.IO, polling",
        right: "sticky mode=query name=sid from=query learn=json;",
        proposed: "sticky mode=query name=sid from=query learn=json;",
        steps: &[
            ("GET /socket.io/?EIO=4&transport=polling&t={once}", "Content-Type: text/plain; charset=UTF-8\n\n0{\"sid\":\"{id}\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000}"),
            ("POST /socket.io/?EIO=4&transport=polling&sid={id}\nContent-Type: text/plain\n\n40", "Content-Type: text/html\n\nok"),
            ("GET /socket.io/?EIO=4&transport=polling&t={once}&sid={id}", "Content-Type: text/plain\n\n40{\"sid\":\"{two}\"}"),
            ("GET /socket.io/?EIO=4&transport=polling&t={once}&sid={id}", "Content-Type: text/plain\n\n6"),
        ],
    },
    Shape {
        name: "SignalR",
        right: "sticky mode=query name=id from=query learn=json:connectionToken;",
        proposed: "sticky mode=query name=id from=query learn=json:connectionToken;",
        steps: &[
            ("POST /hub/negotiate", "Content-Type: application/json\n\n{\"negotiateVersion\":1,\"connectionId\":\"{two}\",\"connectionToken\":\"{id}\"}"),
            ("GET /hub?id={id}", "Content-Type: text/event-stream\n\ndata: {}\n\n"),
            ("POST /hub?id={id}", "Content-Type: text/plain\n\n"),
        ],
    },
    Shape {
        name: "docker-registry",
        right: "sticky mode=query name=_state from=query learn=location;",
        proposed: "sticky mode=query name=_state;",
        steps: &[
            ("POST /v2/a/blobs/uploads/", "Location: http://h.example/v2/a/blobs/uploads/x?_state={id}\n\n"),
            ("PATCH /v2/a/blobs/uploads/x?_state={id}", "Location: http://h.example/v2/a/blobs/uploads/x?_state={two}\n\n"),
            ("PUT /v2/a/blobs/uploads/x?_state={two}&digest=sha256:{all}", "Location: /v2/a/blobs/{all}\n\n"),
        ],
    },
    Shape {
        name: "MCP, header",
        right: "sticky mode=query from=header:Mcp-Session-Id learn=header:Mcp-Session-Id;",
        proposed: "sticky mode=query from=header:Mcp-Session-Id learn=header:Mcp-Session-Id;",
        steps: &[
            ("POST /mcp\nContent-Type: application/json\n\n{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}", "Mcp-Session-Id: {id}\nContent-Type: application/json\n\n{\"jsonrpc\":\"2.0\",\"id\":1}"),
            ("POST /mcp\nmcp-session-id: {id}\nContent-Type: application/json\n\n{\"id\":2}", "Mcp-Session-Id: {id}\nContent-Type: application/json\n\n{\"id\":2}"),
            ("POST /mcp\nmcp-session-id: {id}\nContent-Type: application/json\n\n{\"id\":3}", "Content-Type: application/json\n\n{\"id\":3}"),
        ],
    },
    Shape {
        name: "MCP over SSE",
        right: "sticky mode=query name=session_id from=query learn=sse;",
        proposed: "sticky mode=query name=session_id from=query learn=sse;",
        steps: &[
            ("GET /sse", "Content-Type: text/event-stream\n\nevent: endpoint\ndata: /messages/?session_id={id}\n\n"),
            ("POST /messages/?session_id={id}\nContent-Type: application/json\n\n{\"id\":2}", "\n\n"),
            ("POST /messages/?session_id={id}\nContent-Type: application/json\n\n{\"id\":3}", "\n\n"),
        ],
    },
    Shape {
        name: "MCP, requestState",
        right: "sticky mode=query from=json:requestState learn=json:requestState;",
        proposed: "sticky mode=query from=json:params.requestState learn=json:result.requestState;",
        steps: &[
            ("POST /mcp\nContent-Type: application/json\n\n{\"id\":1}", "Content-Type: application/json\n\n{\"id\":1,\"result\":{\"requestState\":\"{id}\"}}"),
            ("POST /mcp\nContent-Type: application/json\n\n{\"id\":2,\"params\":{\"requestState\":\"{id}\"}}", "Content-Type: application/json\n\n{\"id\":2,\"result\":{\"requestState\":\"{id}\"}}"),
        ],
    },
    Shape {
        name: "OpenAI Responses",
        right: "sticky mode=query from=json:.previous_response_id,segment:/v1/responses/ learn=json:.id,json:response.id,sse;",
        proposed: "sticky mode=query from=json:previous_response_id,segment:/v1/responses/ learn=json:.id;",
        steps: &[
            ("POST /v1/responses\nContent-Type: application/json\n\n{\"input\":\"hello there\"}", "Content-Type: application/json\n\n{\"id\":\"resp_{id}\",\"output\":[{\"id\":\"msg_{once}\"}]}"),
            ("POST /v1/responses\nContent-Type: application/json\n\n{\"previous_response_id\":\"resp_{id}\"}", "Content-Type: application/json\n\n{\"id\":\"resp_{two}\",\"previous_response_id\":\"resp_{id}\",\"output\":[{\"id\":\"msg_{once}\"}]}"),
            ("GET /v1/responses/resp_{two}", "Content-Type: application/json\n\n{\"id\":\"resp_{two}\"}"),
        ],
    },
    Shape {
        name: "A2A",
        right: "sticky mode=query from=json:params.message.taskId learn=json:result.task.id;",
        proposed: "sticky mode=query from=json:params.message.taskId,json:params.id learn=json:result.task.id;",
        steps: &[
            ("POST /a2a\nContent-Type: application/json\n\n{\"params\":{\"message\":{\"messageId\":\"{once}\"}}}", "Content-Type: application/json\n\n{\"result\":{\"task\":{\"id\":\"{id}\"}}}"),
            ("POST /a2a\nContent-Type: application/json\n\n{\"params\":{\"message\":{\"messageId\":\"{once}\",\"taskId\":\"{id}\"}}}", "Content-Type: application/json\n\n{\"result\":{\"task\":{\"id\":\"{id}\"}}}"),
            ("POST /a2a\nContent-Type: application/json\n\n{\"params\":{\"id\":\"{id}\"}}", "Content-Type: application/json\n\n{\"result\":{\"task\":{\"id\":\"{id}\"}}}"),
        ],
    },
    Shape {
        name: "Faye (Bayeux)",
        right: "sticky mode=query from=json:clientId learn=json:clientId;",
        proposed: "sticky mode=query from=json:clientId learn=json:clientId;",
        steps: &[
            ("POST /bayeux\nContent-Type: application/json\n\n[{\"channel\":\"/meta/handshake\"}]", "Content-Type: application/json\n\n[{\"clientId\":\"{id}\",\"channel\":\"/meta/handshake\"}]"),
            ("POST /bayeux\nContent-Type: application/json\n\n[{\"clientId\":\"{id}\"}]", "Content-Type: application/json\n\n[{\"clientId\":\"{id}\"}]"),
            ("POST /bayeux\nContent-Type: application/json\n\n[{\"clientId\":\"{id}\"}]", "Content-Type: application/json\n\n[]"),
        ],
    },
    Shape {
        name: "ubus JSON-RPC",
        right: "sticky mode=query from=json:params.0 learn=json:result.1.ubus_rpc_session;",
        proposed: "sticky mode=query from=json:params.0 learn=json:result.ubus_rpc_session;",
        steps: &[
            ("POST /ubus\nContent-Type: application/json\n\n{\"params\":[\"00000000000000000000000000000000\",\"session\",\"login\"]}", "Content-Type: application/json\n\n{\"result\":[0,{\"ubus_rpc_session\":\"{id}\"}]}"),
            ("POST /ubus\nContent-Type: application/json\n\n{\"params\":[\"{id}\",\"system\",\"board\"]}", "Content-Type: application/json\n\n{\"result\":[0,{}]}"),
            ("POST /ubus\nContent-Type: application/json\n\n{\"params\":[\"{id}\",\"system\",\"info\"]}", "Content-Type: application/json\n\n{\"result\":[0,{}]}"),
        ],
    },
    Shape {
        name: "Jupyter Server",
        right: "sticky mode=query from=segment:/api/kernels/ learn=location,json:.id;",
        proposed: "sticky mode=query from=segment:/api/kernels/ learn=location,json:.id;",
        steps: &[
            ("POST /api/kernels", "Location: /api/kernels/{id}\nContent-Type: application/json\n\n{\"id\":\"{id}\",\"name\":\"python3\"}"),
            ("GET /api/kernels/{id}/channels?session_id={once}", "\n\n"),
            ("GET /api/kernels/{id}", "Content-Type: application/json\n\n{\"id\":\"{id}\"}"),
        ],
    },
    Shape {
        name: "Selenium",
        right: "sticky mode=query from=segment:/session/ learn=json:value.sessionId;",
        proposed: "sticky mode=query from=segment:/session/ learn=json:value.sessionId;",
        steps: &[
            ("POST /session\nContent-Type: application/json\n\n{}", "Content-Type: application/json\n\n{\"value\":{\"sessionId\":\"{id}\",\"capabilities\":{}}}"),
            ("POST /session/{id}/url\nContent-Type: application/json\n\n{\"url\":\"http://h/\"}", "Content-Type: application/json\n\n{\"value\":null}"),
            ("GET /session/{id}/title", "Content-Type: application/json\n\n{\"value\":\"x\"}"),
        ],
    },
    Shape {
        name: "tus",
        right: "sticky mode=query from=segment:/files/ learn=location;",
        proposed: "sticky mode=query from=segment:/files/ learn=location;",
        steps: &[
            ("POST /files/", "Location: http://h.example/files/{id}\n\n"),
            ("PATCH /files/{id}", "\n\n"),
            ("HEAD /files/{id}", "\n\n"),
        ],
    },
    Shape {
        name: "Trino",
        right: "sticky mode=query from=segment:/v1/statement/*/ learn=json:.id;",
        proposed: "sticky mode=query from=segment:/v1/statement/queued/ learn=json:.id;",
        steps: &[
            ("POST /v1/statement", "Content-Type: application/json\n\n{\"id\":\"20260101_000000_{id}\",\"nextUri\":\"http://h/v1/statement/queued/20260101_000000_{id}/y{two}/1\"}"),
            ("GET /v1/statement/queued/20260101_000000_{id}/y{two}/1", "Content-Type: application/json\n\n{\"id\":\"20260101_000000_{id}\",\"nextUri\":\"http://h/v1/statement/queued/20260101_000000_{id}/y{two}/2\"}"),
            ("GET /v1/statement/queued/20260101_000000_{id}/y{two}/2", "Content-Type: application/json\n\n{\"id\":\"20260101_000000_{id}\"}"),
        ],
    },
    Shape {
        name: "Kafka REST consumer",
        right: "sticky mode=query from=segment:/consumers/*/instances/ learn=json:instance_id;",
        proposed: "sticky mode=query from=segment:/consumers/group/instances/ learn=json:instance_id;",
        steps: &[
            ("POST /consumers/group", "Content-Type: application/vnd.kafka.v2+json\n\n{\"instance_id\":\"rest-{id}\",\"base_uri\":\"http://h/consumers/group/instances/rest-{id}\"}"),
            ("POST /consumers/group/instances/rest-{id}/subscription", "\n\n"),
            ("GET /consumers/group/instances/rest-{id}/records", "Content-Type: application/json\n\n[]"),
        ],
    },
    Shape {
        name: "SockJS",
        right: "sticky mode=query from=segment:/echo/*/ learn=request;",
        proposed: "sticky mode=query from=segment:/echo/*/ learn=request;",
        steps: &[
            ("POST /echo/123/{id}/xhr", "Content-Type: application/javascript\n\no\n"),
            ("POST /echo/123/{id}/xhr_send", "\n\n"),
            ("POST /echo/123/{id}/xhr", "Content-Type: application/javascript\n\na[\"x\"]\n"),
        ],
    },
    Shape {
        name: "Gradio",
        right: "sticky mode=query name=session_hash from=json,query,segment:/gradio_api/heartbeat/,segment:/gradio_api/stream/ learn=request;",
        proposed: "sticky mode=query name=session_hash from=query,json,segment:/gradio_api/heartbeat/ learn=request;",
        steps: &[
            ("GET /gradio_api/heartbeat/{id}", "Content-Type: text/event-stream\n\ndata: ALIVE\n\n"),
            ("POST /queue/join\nContent-Type: application/json\n\n{\"data\":[\"x\"],\"session_hash\":\"{id}\"}", "Content-Type: application/json\n\n{\"event_id\":\"{once}\"}"),
            ("GET /queue/data?session_hash={id}", "Content-Type: text/event-stream\n\ndata: {\"event_id\":\"{once}\"}\n\n"),
            ("POST /queue/join\nContent-Type: application/json\n\n{\"data\":[\"y\"],\"session_hash\":\"{id}\"}", "Content-Type: application/json\n\n{\"event_id\":\"{once}\"}"),
        ],
    },
    Shape {
        name: "agents, X-Session-ID",
        right: "sticky mode=query from=header:X-Session-ID learn=request;",
        proposed: "sticky mode=query from=header:X-Session-Id learn=request;",
        steps: &[
            ("POST /v1/chat\nX-Session-ID: {id}\nX-Request-Id: {once}\nContent-Type: application/json\n\n{}", "Content-Type: application/json\n\n{\"id\":\"chat-{once}\"}"),
            ("POST /v1/chat\nX-Session-ID: {id}\nX-Request-Id: {once}\nContent-Type: application/json\n\n{}", "Content-Type: application/json\n\n{\"id\":\"chat-{once}\"}"),
        ],
    },
    Shape {
        name: "Streamlit",
        right: "sticky mode=query name=_streamlit_xsrf from=cookie learn=cookie;",
        proposed: "sticky mode=query name=_streamlit_xsrf from=cookie learn=cookie;",
        steps: &[
            ("GET /_stcore/host-config", "Set-Cookie: _streamlit_xsrf=2|{id}; Path=/\nContent-Type: application/json\n\n{}"),
            ("GET /_stcore/stream\nCookie: _streamlit_xsrf=2|{id}", "\n\n"),
            ("GET /media\nCookie: _streamlit_xsrf=2|{id}", "\n\n"),
        ],
    },
    Shape {
        name: "Shiny, pages without ids",
        right: "sticky;",
        proposed: "sticky;",
        steps: &[
            ("GET /", "Content-Type: text/html\n\n<script src=/shared/{all}/shiny.min.js></script>"),
            ("GET /websocket/", UPGRADE),
        ],
    },
    Shape {
        name: "Shiny, an id from a WebSocket",
        right: "sticky;",
        proposed: "sticky;",
        steps: &[
            ("GET /", HTML),
            ("GET /websocket/", UPGRADE),
            ("GET /session/{id}/download/a", "Content-Type: text/csv\n\n"),
            ("POST /session/{id}/upload/b", "Content-Type: text/csv\n\n"),
            ("GET /session/{id}/download/c", "Content-Type: text/csv\n\n"),
        ],
    },
    Shape {
        name: "SockJS, a WebSocket and then polling",
        right: "sticky mode=query from=segment:/echo/*/ learn=request;",
        proposed: "sticky mode=query from=segment:/echo/*/ learn=request;",
        steps: &[
            ("GET /echo/123/{id}/websocket", UPGRADE),
            ("POST /echo/456/{two}/xhr", "Content-Type: application/javascript\n\no\n"),
            ("POST /echo/456/{two}/xhr_send", "\n\n"),
        ],
    },
    Shape {
        name: "NiceGUI",
        right: "sticky mode=query name=client_id from=query learn=script;",
        proposed: "sticky mode=query name=client_id from=query learn=script;",
        steps: &[
            ("GET /", "Content-Type: text/html\n\n<script type=\"module\">createApp({ query: { \"client_id\": \"{id}\" } })</script>"),
            ("GET /_nicegui_ws/socket.io/?client_id={id}&EIO=4", UPGRADE),
            ("POST /_nicegui_ws/socket.io/?client_id={id}&EIO=4", "\n\n"),
        ],
    },
    Shape {
        name: "tokens (oidc-provider)",
        right: "sticky mode=query from=bearer learn=json:access_token;",
        proposed: "sticky mode=query from=bearer learn=json:access_token;",
        steps: &[
            ("POST /token\nContent-Type: application/x-www-form-urlencoded\n\ngrant_type=x", "Content-Type: application/json\n\n{\"access_token\":\"{id}\"}"),
            ("GET /me\nAuthorization: Bearer {id}", "Content-Type: application/json\n\n{}"),
            ("GET /me\nAuthorization: Bearer {id}", "Content-Type: application/json\n\n{}"),
        ],
    },
    Shape {
        name: "HTTP Digest",
        right: "sticky mode=query from=header:Authorization:nonce learn=header:WWW-Authenticate:nonce;",
        proposed: "sticky mode=query from=header:Authorization:nonce learn=header:Www-Authenticate:nonce;",
        steps: &[
            ("GET /", "WWW-Authenticate: Digest realm=\"a\", nonce=\"{id}\", qop=\"auth\"\n\n"),
            ("GET /\nAuthorization: Digest username=\"u\", nonce=\"{id}\", uri=\"/\"", "\n\n"),
            ("GET /\nAuthorization: Digest username=\"u\", nonce=\"{id}\", uri=\"/\"", "\n\n"),
        ],
    },
    Shape {
        name: "Guacamole",
        right: "sticky mode=query from=header:Guacamole-Tunnel-Token learn=header:Guacamole-Tunnel-Token;",
        proposed: "sticky mode=query from=header:Guacamole-Tunnel-Token learn=header:Guacamole-Tunnel-Token;",
        steps: &[
            ("POST /tunnel?connect", "Guacamole-Tunnel-Token: {id}\nContent-Type: text/plain\n\nx"),
            ("GET /tunnel?read\nGuacamole-Tunnel-Token: {id}", "\n\n"),
            ("POST /tunnel?write\nGuacamole-Tunnel-Token: {id}", "\n\n"),
        ],
    },
    Shape {
        name: "Prosody BOSH",
        right: "sticky mode=query from=xml:sid learn=xml:sid;",
        proposed: "sticky mode=query from=xml:sid learn=xml:sid;",
        steps: &[
            ("POST /http-bind\nContent-Type: text/xml\n\n<body rid='4711' to='x'/>", "Content-Type: text/xml\n\n<body sid='{id}' xmlns='http://jabber.org/protocol/httpbind'/>"),
            ("POST /http-bind\nContent-Type: text/xml\n\n<body rid='4712' sid='{id}'/>", "Content-Type: text/xml\n\n<body/>"),
            ("POST /http-bind\nContent-Type: text/xml\n\n<body rid='4713' sid='{id}'/>", "Content-Type: text/xml\n\n<body/>"),
        ],
    },
    Shape {
        name: "SOAP",
        right: "sticky mode=query name=SessionId from=xml learn=xml;",
        proposed: "sticky mode=query from=xml:SessionId learn=xml:SessionId;",
        steps: &[
            ("POST /soap\nContent-Type: text/xml\n\n<e/>", "Content-Type: text/xml\n\n<s:E><SessionId>{id}</SessionId></s:E>"),
            ("POST /soap\nContent-Type: text/xml\n\n<s:E><SessionId>{id}</SessionId></s:E>", "Content-Type: text/xml\n\n<e/>"),
        ],
    },
    Shape {
        name: "vCenter REST",
        right: "sticky mode=query from=header:vmware-api-session-id learn=json:.;",
        proposed: "sticky mode=query from=header:Vmware-Api-Session-Id learn=json:.;",
        steps: &[
            ("POST /api/session", "Content-Type: application/json\n\n\"{id}\""),
            ("GET /api/vm\nvmware-api-session-id: {id}", "Content-Type: application/json\n\n[]"),
            ("GET /api/host\nvmware-api-session-id: {id}", "Content-Type: application/json\n\n[]"),
        ],
    },
    Shape {
        name: "HLS playlists",
        right: "sticky mode=query name=session from=query learn=text;",
        proposed: "sticky mode=query name=session from=query learn=text;",
        steps: &[
            ("GET /live.m3u8", "Content-Type: application/vnd.apple.mpegurl\n\n#EXTM3U\n#EXTINF:4,\n/seg1.ts?session={id}\n"),
            ("GET /seg1.ts?session={id}", "Content-Type: video/mp2t\n\n"),
            ("GET /seg2.ts?session={id}", "Content-Type: video/mp2t\n\n"),
        ],
    },
];

/// What is not sticky at all: nothing is proposed, and it is said why.
pub const NOTHING: &[Shape] = &[
    Shape {
        name: "an interface without state",
        right: "",
        proposed: "",
        steps: &[
            (
                "GET /v1/price?article={all}",
                "ETag: \"{all}\"\nContent-Type: application/json\n\n{\"article\":\"{all}\"}",
            ),
            (
                "GET /v1/price?article={all}&_={once}",
                "Content-Type: application/json\n\n{\"trace\":\"{once}\"}",
            ),
        ],
    },
    Shape {
        name: "tokens for one form each, which nothing keeps",
        right: "",
        proposed: "",
        steps: &[(
            "GET /",
            "Content-Type: application/json\n\n{\"csrf\":\"{once}\"}",
        )],
    },
];
