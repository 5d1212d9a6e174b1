// Around all of them: the app's start, and every call.
const { app } = require('@azure/functions');

app.hook.appStart((context) => {
  context.hookData.startedAt = Date.now();
});

app.hook.preInvocation((context) => {
  context.hookData.begin = performance.now();
});

app.hook.postInvocation((context) => {
  const took = performance.now() - context.hookData.begin;
  context.invocationContext.debug(`${context.invocationContext.functionName} took ${took < 1000 ? 'less' : 'more'} than a second`);
});
