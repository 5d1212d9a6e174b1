-- wrk's request when there is a body: its size in bytes is the argument.
init = function(args)
  wrk.method = "POST"
  wrk.headers["content-type"] = "application/octet-stream"
  wrk.body = string.rep("x", tonumber(args[1]))
end
