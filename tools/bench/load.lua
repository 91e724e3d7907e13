-- The requests of the benchmarks, for wrk:
--
--     wrk … -s load.lua http://ADDRESS -- KIND SESSIONS FILE [FIRST]
--
-- hit    an id out of SESSIONS, at random          miss   an id that nobody has handed out
-- new    no id; the answer hands out a new one     walk   every id once, or a million of them
-- page   teaches every id, 8 by a page             one    teaches every id, each by a header
-- packed no id; a page in gzip
--
-- compare   some 2,000 of the ids, twice
--
-- FILE has a line `ADDRESS COOKIE` for each server; requests with an id carry one of these cookies
-- too, so that one request serves all that is compared. FIRST is where the random numbers, or new
-- ids, begin. A walk counts the answers that say X-Status: HIT (`hits`). `compare` wants a single
-- connection, as an answer does not say which id it is for; it counts the answers of the server that
-- the cookie means (`cookies`), and those of the same server as the first time (`same`).

local HEAD = " HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
    .. "Accept: text/html,*/*;q=0.8\r\n"

-- Requests that a walk makes beyond its end, so that all before have been answered.
local SLACK = 256
local SAMPLE = { compare = 2000, walk = 1000000 }

local SIGINT = 2

local ffi = require "ffi"
ffi.cdef "int getpid(void); int kill(int pid, int signal);"

local threads = {}
local kind, sessions, first, sample
local addresses, lines = {}, {}

answers, hits, cookies, same = 0, 0, 0, 0

function setup(thread)
    threads[#threads + 1] = thread
end

-- 32 hexadecimal digits. The last one is below 8, for a page of 8.
local function id(index)
    return string.format("%031x%d", math.floor(index / 8), index % 8)
end

local function with_id(index)
    return "GET /?sid=" .. id(index) .. HEAD .. lines[index % #lines + 1]
end

-- The n-th of those that are looked at, which are spread over all.
local function nth(n)
    return n % sample * math.floor(sessions / sample)
end

local made = {
    hit = function() return with_id(math.random(0, sessions - 1)) end,
    miss = function() return with_id(2 ^ 44 + math.random(0, sessions - 1)) end,
    packed = function() return "GET /packed" .. HEAD .. "\r\n" end,
}

-- Those that count.
local counted = {
    new = function(n) return "GET /new?n=" .. id(n) .. HEAD .. "\r\n" end,
    walk = function(n) return with_id(nth(n)) end,
    compare = function(n) return with_id(nth(n)) end,
    one = function(n) return "GET /one?n=" .. id(n % sessions) .. HEAD .. "\r\n" end,
    page = function(n)
        local pages = math.ceil(sessions / 8)
        return "GET /page?p=" .. string.format("%031x", n % pages) .. HEAD .. "\r\n"
    end,
}

function init(args)
    kind, sessions, first = args[1], tonumber(args[2]), tonumber(args[4] or 0)
    sample = math.min(sessions, SAMPLE[kind] or sessions)
    for line in io.lines(args[3]) do
        local address, cookie = line:match("^(%S+) (%S+)$")
        addresses[#addresses + 1] = address
        lines[#lines + 1] = "Cookie: theme=dark; route=" .. cookie .. "\r\n\r\n"
    end
    math.randomseed(first)

    request = made[kind]
    if not request then
        local number = first - 1
        local make = counted[kind]
        request = function()
            number = number + 1
            return make(number)
        end
    end

    local pages = math.ceil(sessions / 8)
    local last = {
        walk = sample + SLACK, one = sessions + SLACK, page = pages + SLACK,
        compare = 2 * sample,
    }
    if last[kind] then
        answer_each(last[kind])
    end
end

-- Makes wrk read the answers, and stop after some of them.
function answer_each(last)
    local first_by, stopped = {}, false

    response = function(_, headers, body)
        if stopped then
            return
        end
        answers = answers + 1
        if kind == "walk" then
            if headers["X-Status"] == "HIT" then
                hits = hits + 1
            end
        elseif kind == "compare" then
            -- As requested: number 0 is wrk's own trial, and not sent.
            local index = nth(answers)
            if body == addresses[index % #addresses + 1] then
                cookies = cookies + 1
            end
            if first_by[index] == body then
                same = same + 1
            end
            first_by[index] = body
        end
        if answers >= last then
            -- wrk.thread:stop() ends this thread only: wrk itself would sleep on.
            stopped = true
            ffi.C.kill(ffi.C.getpid(), SIGINT)
        end
    end
end

function done(summary)
    local errors = summary.errors
    local function total(name)
        local sum = 0
        for _, thread in ipairs(threads) do
            sum = sum + thread:get(name)
        end
        return sum
    end
    print(string.format(
        "result requests=%d microseconds=%d failed=%d answers=%d hits=%d cookies=%d same=%d",
        summary.requests, summary.duration,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        total("answers"), total("hits"), total("cookies"), total("same")))
end
