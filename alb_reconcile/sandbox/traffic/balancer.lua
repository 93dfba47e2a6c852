-- What an Application Load Balancer does to requests and answers and Envoy's settings can't say.
-- The filter context of a route says which of it is wanted: see routes.py.

math.randomseed(tonumber(tostring({}):match("0x(%x+)"), 16) % 2147483647 + os.time())

local function hex(count)
  local digits = {}
  for place = 1, count do digits[place] = string.format("%x", math.random(0, 15)) end
  return table.concat(digits)
end

-- AWS ELB, "Request tracing": adds Self where there is a Root already.
local function trace(headers)
  local own = string.format("1-%08x-%s", os.time(), hex(24))
  local given = headers:get("x-amzn-trace-id")
  if given == nil or given == "" then
    headers:replace("X-Amzn-Trace-Id", "Root=" .. own)
  elseif given:find("Root=", 1, true) then
    headers:replace("X-Amzn-Trace-Id", "Self=" .. own .. ";" .. given)
  else
    headers:replace("X-Amzn-Trace-Id", given .. ";Root=" .. own)
  end
end

-- AWS ELB, routing.http.drop_invalid_header_fields.enabled: names must be of [-A-Za-z0-9]+.
local function drop_invalid(headers)
  local invalid = {}
  for name in pairs(headers) do
    if not name:find("^:?[%w%-]+$") then invalid[#invalid + 1] = name end
  end
  for _, name in ipairs(invalid) do headers:remove(name) end
end

local function cookie(headers, name)
  local given = headers:get("cookie")
  return given and ("; " .. given):match("[; ]" .. name:gsub("%-", "%%-") .. "=([^;]*)")
end

local function encode(address)
  return (address:gsub(".", function(char) return string.format("%02x", char:byte()) end))
end

local function decode(value)
  local address = value:gsub("(%x%x)", function(code) return string.char(tonumber(code, 16)) end)
  return address:match("^127%.0%.0%.1:%d+$")
end

-- Each cookie is sent a second time for browsers that ask for SameSite=None; Expires is renewed by each answer.
local function set_cookie(headers, name, cors, value, seconds, secure)
  local rest = "; Expires=" .. os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + seconds) .. "; Path=/"
  headers:add("Set-Cookie", name .. "=" .. value .. rest)
  if cors then
    headers:add("Set-Cookie", cors .. "=" .. value .. rest .. "; SameSite=None" .. (secure and "; Secure" or ""))
  end
end

local function sets_cookie(headers, name)
  for index = 0, headers:getNumValues("set-cookie") - 1 do
    if headers:getAtIndex("set-cookie", index):sub(1, #name + 1) == name .. "=" then return true end
  end
  return false
end

-- AWS ELB, "Redirect actions". By the sandbox's own URL (localhost) a port leads to that listener's local port.
local function redirect(handle, context)
  local headers, wanted = handle:headers(), context:get("redirect")
  local host = headers:get(":authority"):gsub(":%d+$", "")
  local path, query = headers:get(":path"):match("^/?([^?]*)%??(.*)$")
  local parts = {
    host = host, path = path, query = query,
    port = context:get("port"), protocol = context:get("protocol"),
  }
  local function fill(template)
    return (template:gsub("#{(%w+)}", parts))
  end
  local target, port = fill(wanted.host), fill(wanted.port)
  if target == "localhost" or target == "127.0.0.1" then port = context:get("doors")[port] or port end
  local location = fill(wanted.protocol):lower() .. "://" .. target .. ":" .. port .. fill(wanted.path)
  local asked = fill(wanted.query)
  if asked ~= "" then location = location .. "?" .. asked end
  local answer = {[":status"] = wanted.status, ["location"] = location, ["content-type"] = "text/html"}
  for name, value in pairs(context:get("response")) do answer[name] = value end
  handle:respond(answer, wanted.body)
end

-- AWS ELB, "Troubleshoot your Application Load Balancers": the status of what isn't handed on. PAGES come with xds.py.
local LONGEST, ALL, MOST_ADDRESSES = 16 * 1024, 64 * 1024, 30

local function refused(handle, headers, context)
  local method = headers:get(":method")
  if method == "TRACE" then return "405" end
  local all = #method + #headers:get(":path") + #"  HTTP/1.1"
  if all > LONGEST then return "400" end
  for name, value in pairs(headers) do
    local length = #name + #": " + #value
    if name:sub(1, 1) ~= ":" then all = all + length + #"\r\n" end
    if name ~= ":path" and length > LONGEST or all > ALL then return "400" end
  end
  local _, addresses = (headers:get("x-forwarded-for") or ""):gsub("[^,]+", "")
  if addresses > MOST_ADDRESSES then return "463" end
  local version = context:get("version")  -- of the target group, where the request is forwarded
  local two, grpc = handle:streamInfo():protocol() == "HTTP/2", (headers:get("content-type") or ""):find("^application/grpc")
  if version == "HTTP1" and grpc or (version == "HTTP2" or version == "GRPC") and not two
    or version == "GRPC" and method ~= "POST" then return "464" end
end

-- AWS ELB, "Transforms for listener rules": Envoy has worked them out, see transforms.py. Returns whether that went well.
local function transform(handle, headers)
  local found = handle:streamInfo():dynamicMetadata():get(TRANSFORMS)
  if found == nil then return true end
  local path, host = found.path or headers:get(":path"), found.host or headers:get(":authority")
  if path:sub(1, 1) ~= "/" or path:find("[%c ]") or host == FAILED or host:find("[%c /?#@]") then return false end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set(TRANSFORMS .. ".before", "path", headers:get(":path"))  -- for the access log
  metadata:set(TRANSFORMS .. ".before", "host", headers:get(":authority"))
  headers:replace(":path", path)
  headers:replace(":authority", host)
  return true
end

-- AWS ELB, "X-Forwarded-For": the client's address comes after those that are there.
local function append_client(handle, headers, what)
  local address, given = handle:streamInfo():downstreamDirectRemoteAddress(), headers:get("x-forwarded-for")
  if what == "address" then address = address:gsub(":%d+$", "") end
  headers:replace("X-Forwarded-For", (given and given ~= "") and given .. ", " .. address or address)
end

-- AWS ELB, "Preserve host header"; by the sandbox's own URL (localhost) it stays, so that links lead back.
local function change_host(headers, port)
  local host = headers:get(":authority")
  local name, given = host:match("^(.-):(%d+)$")
  name = name or host
  if port == "" or name == "localhost" or name == "127.0.0.1" or (port ~= "-" and given) then return end
  headers:replace(":authority", name .. (port == "-" and "" or port))
end

-- AWS ELB, "HTTP headers and mutual TLS": what the client's certificate says; names by routes.py.
local function seconds(moment) return moment and os.date("!%Y-%m-%dT%H:%M:%SZ", moment) end

-- URL-encoded, "with +=/ as safe characters".
local function url_encoded(pem)
  return pem and pem:gsub("%%2B", "+"):gsub("%%2F", "/"):gsub("%%3D", "=")
end

local function tell_certificate(handle, headers, names)
  local tls = handle:streamInfo():downstreamSslConnection()
  local shown = tls ~= nil and tls:peerCertificatePresented()
  for part, name in pairs(names) do
    local value
    if shown and part == "serial" then value = tls:serialNumberPeerCertificate():upper()
    elseif shown and part == "issuer" then value = tls:issuerPeerCertificate()
    elseif shown and part == "subject" then value = tls:subjectPeerCertificate()
    elseif shown and part == "leaf" then value = url_encoded(tls:urlEncodedPemEncodedPeerCertificate())
    elseif shown and part == "chain" then value = url_encoded(tls:urlEncodedPemEncodedPeerCertificateChain())
    elseif shown and part == "validity" then
      value = "NotBefore=" .. seconds(tls:validFromPeerCertificate()) ..
        ";NotAfter=" .. seconds(tls:expirationPeerCertificate())
    end
    if value then headers:replace(name, value) else headers:remove(name) end  -- a client can't say so itself
  end
end

function envoy_on_request(handle)
  local headers, context = handle:headers(), handle:filterContext()
  local status = refused(handle, headers, context)
  if status then
    local page = PAGES[status]
    return handle:respond({[":status"] = status, ["content-type"] = page and "text/html"}, page or "")
  end
  if context:get("redirect") then return redirect(handle, context) end
  if context:get("drop") then drop_invalid(headers) end
  trace(headers)
  if context:get("client") ~= "" then append_client(handle, headers, context:get("client")) end
  if context:get("certificate") then tell_certificate(handle, headers, context:get("certificate")) end
  if context:get("host") then change_host(headers, context:get("host")) end
  if not transform(handle, headers) then
    return handle:respond({[":status"] = "500", ["content-type"] = "text/html"}, PAGES["500"])
  end
  local sticky = context:get("sticky")
  if sticky then
    local value = cookie(headers, sticky.app and "AWSALBAPP-0" or "AWSALB")
    local address = value and decode(value)
    if address then handle:setUpstreamOverrideHost(address, false) end
  end
end

function envoy_on_response(handle)
  local headers, context = handle:headers(), handle:filterContext()
  local target = headers:get("x-sandbox-target")
  if target == nil then return end
  headers:remove("x-sandbox-target")
  local sticky, group, secure = context:get("sticky"), context:get("group"), context:get("secure")
  if sticky and not sticky.app then
    set_cookie(headers, "AWSALB", "AWSALBCORS", encode(target), sticky.seconds, secure)
  elseif sticky and sets_cookie(headers, sticky.app) then
    set_cookie(headers, "AWSALBAPP-0", nil, encode(target), sticky.seconds, secure)
  end
  if group then set_cookie(headers, "AWSALBTG", "AWSALBTGCORS", group.id, group.seconds, secure) end
end
