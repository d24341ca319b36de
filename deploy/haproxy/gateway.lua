-- /etc/haproxy/gateway.lua: asks the gateway for a decision about each request.
-- Sets txn.gateway_allowed, and every header of the decision on the request.

local TIMEOUT = 5000 -- milliseconds

-- Of the connection and of the check itself, or set below.
local NOT_SENT = {
    ["connection"] = true, ["content-length"] = true, ["expect"] = true, ["host"] = true,
    ["keep-alive"] = true, ["te"] = true, ["trailer"] = true,
    ["transfer-encoding"] = true, ["upgrade"] = true,
}
-- Of the response, not for the app.
local NOT_COPIED = {
    ["cache-control"] = true, ["connection"] = true, ["content-length"] = true,
    ["date"] = true, ["set-cookie"] = true, ["x-request-id"] = true,
}

local function values(list) -- HAProxy counts from 0
    local found, at = {}, 0
    while list[at] ~= nil do
        found[#found + 1] = list[at]
        at = at + 1
    end
    return found
end

local function check_of(txn)
    local headers = {}
    for name, list in pairs(txn.http:req_get_headers()) do
        if not NOT_SENT[name] and name:sub(1, 12) ~= "x-forwarded-" then
            headers[name] = values(list)
        end
    end
    headers["host"] = { "gateway" }
    headers["x-forwarded-method"] = { txn.sf:method() }
    headers["x-forwarded-proto"] = { txn.sf:req_fhdr("X-Forwarded-Proto") }
    headers["x-forwarded-host"] = { txn.sf:req_fhdr("Host") }
    headers["x-forwarded-uri"] = { txn.sf:pathq() }
    headers["x-forwarded-for"] = { txn.sf:src() }
    return headers
end

local function deny(txn, response)
    local reply = txn:reply({ status = response.status, body = response.body })
    for name, list in pairs(response.headers or {}) do
        if name ~= "content-length" and name ~= "connection" and name ~= "date" then
            for _, value in ipairs(values(list)) do
                reply:add_header(name, value)
            end
        end
    end
    txn:done(reply)
end

core.register_action("gateway_authz", { "http-req" }, function(txn, address)
    txn:set_var("txn.gateway_allowed", false)
    local response = core.httpclient():get({
        url = "http://" .. address .. "/authz/forward-auth",
        headers = check_of(txn),
        timeout = TIMEOUT,
    })
    if response.status == nil or response.status < 200 then
        return -- no decision: the configuration denies
    end
    if response.status ~= 200 then
        return deny(txn, response)
    end
    for name, list in pairs(response.headers) do
        if name == "set-cookie" then
            txn:set_priv(values(list)) -- for the response
        elseif not NOT_COPIED[name] then
            local value = values(list)[1] or ""
            if value == "" then
                txn.http:req_del_header(name)
            else
                txn.http:req_set_header(name, value)
            end
        end
    end
    txn:set_var("txn.gateway_allowed", true)
end, 1)

-- Adds the cookies of the decision, such as that of a session that was extended.
core.register_action("gateway_cookies", { "http-res" }, function(txn)
    for _, cookie in ipairs(txn:get_priv() or {}) do
        txn.http:res_add_header("Set-Cookie", cookie)
    end
end)
