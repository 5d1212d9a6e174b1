"""The Python guest, one concern a module:

    frames      the bytes of the protocol          instance    the life of the process, and who gets which frame
    channel     sending, from any thread           loading     from INIT to a handler that can be called
    invocation  state of one call, its credits     workers     main thread, pool of threads, or asyncio loop
    context     what the handler is told           http_event  request to API Gateway event
    logs        print, logging, warnings to LOG    answer      the handler's result to a response
    failures    exceptions to GuestError           reply       a response to frames, with credits
    memory      peak memory                             forms       code that was written for other clouds
"""
