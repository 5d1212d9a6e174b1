// Resources of CloudFormation, and what to say about those that Virga does not have. Used by template.ts and by serverless/.
import type { Mapping, Place } from '../tree.ts';

export interface Resource {
  id: string;
  type: string;
  at: Place;
  mapping: Mapping;
}

/** By the beginning of the type; the first that fits. */
const REMEDIES: [string, string][] = [
  ['AWS::Lambda::Permission', 'nothing to do: routes need no permission'],
  ['AWS::Lambda::Version', 'nothing to do: each deploy makes versions of what changed'],
  ['AWS::Lambda::Alias', 'nothing to do: routes go to the version that is current'],
  ['AWS::Lambda::EventSourceMapping', 'what it reads from, or whom it calls, cannot be known; give the function a trigger by hand'],
  ['AWS::Lambda::EventInvokeConfig', 'write it as `async` of the function'],
  ['AWS::IAM::', 'nothing to do: Virga gives functions no identity at AWS; where the code calls AWS, give it credentials'],
  ['AWS::Logs::', 'nothing to do: `virga logs` shows what functions say'],
  ['AWS::CloudWatch::', 'Virga has no alarms'],
  ['AWS::DynamoDB::', 'Virga has no DynamoDB; leave the table where it is, or move the data'],
  ['AWS::Serverless::SimpleTable', 'Virga has no DynamoDB; leave the table where it is, or move the data'],
  ['AWS::S3::', 'Virga has no buckets yet; leave it where it is and give the code its name and credentials'],
  ['AWS::SQS::QueuePolicy', 'nothing to do: what a project sends goes to its own queues'],
  ['AWS::SNS::TopicPolicy', 'nothing to do: what a project publishes goes to its own topics'],
  ['AWS::SNS::Subscription', 'what it subscribes, or to which topic, cannot be known; write it under `subscriptions` of the topic'],
  ['AWS::Events::Rule', 'whom it calls, or when, cannot be known; write a schedule or an `event` trigger by hand'],
  ['AWS::Events::', 'events are published to the project itself: POST /v1/projects/…/events, or `publish` of @virga/sdk'],
  ['AWS::Scheduler::', 'declare it under `schedules`, and give the function a trigger of it by hand'],
  ['AWS::Cognito::', 'Virga has no user pools yet; leave it where it is'],
  ['AWS::SecretsManager::', 'leave the secret where it is, or set it as a variable where you deploy from'],
  ['AWS::SSM::', 'set the parameter as a variable'],
  ['AWS::RDS::', 'Virga has no databases yet; leave it where it is and give the code its address'],
  ['AWS::ApiGateway', 'nothing to do where its routes are carried over; the rest (domains, stages, quotas) has no counterpart'],
  ['AWS::Serverless::Api', 'nothing to do where its routes are carried over; the rest (domains, stages, quotas) has no counterpart'],
  ['AWS::Serverless::HttpApi', 'nothing to do where its routes are carried over; the rest (domains, stages, quotas) has no counterpart'],
  ['AWS::Serverless::StateMachine', 'Virga has no state machines; call the steps from a function'],
  ['AWS::StepFunctions::', 'Virga has no state machines; call the steps from a function'],
  ['AWS::EC2::', 'functions reach the internet, and no private network'],
  ['AWS::KMS::', 'nothing to do: it is a key of AWS'],
  ['AWS::Route53::', 'point the domain at the node that serves the project'],
  ['AWS::CloudFront::', 'Virga has no CDN'],
  ['AWS::Kinesis', 'declare a stream under `streams`, if something is to be read from it'],
  ['AWS::CDK::Metadata', 'nothing to do'],
];

export function remedyForResource(type: string): string {
  return REMEDIES.find(([start]) => type.startsWith(start))?.[1] ?? 'Virga has no such resource; leave it where it is, or do without';
}
