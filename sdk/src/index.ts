// The entry of @virga/sdk: what function authors and clients of the control API import.
export * from './function.ts';
export * from './connections.ts';
export * from './publishing.ts';
export * from './events.ts';
export * from './control.ts';
export * from './workflow-runs.ts';
export * from './workflow.ts';
export * from './starting.ts';
