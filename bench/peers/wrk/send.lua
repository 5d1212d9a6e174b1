-- wrk's requests with headers and a body of choice: a file with `name: value` lines, a line with `===`, and the body. A line
-- `tokens: FILE` sends the lines of that file as bearer tokens, one after the other.
local tokens = {}
local at = 0

init = function(args)
  local inBody = false
  local body = {}
  for line in io.lines(args[1]) do
    if inBody then
      body[#body + 1] = line
    elseif line == "===" then
      inBody = true
    else
      local name, value = line:match("^([^:]+): (.*)$")
      if name == "tokens" then
        for token in io.lines(value) do tokens[#tokens + 1] = "Bearer " .. token end
      else
        wrk.headers[name] = value
      end
    end
  end
  if #body > 0 then
    wrk.method = "POST"
    wrk.body = table.concat(body, "\n")
  end
end

request = function()
  if #tokens > 0 then
    at = at % #tokens + 1
    wrk.headers["authorization"] = tokens[at]
  end
  return wrk.format()
end
