const TOKENS = 'tokens are issued to principals who proved who they are, which no listener asks of clients (no SASL)'
const QUORUM = 'between controllers, who have a protocol of their own (`docs/architecture.md`)'
const TO_CONTROLLER = 'from brokers to the controller, who have a protocol of their own (`docs/architecture.md`)'
const TELEMETRY =
  'as by a Kafka broker without a receiver of telemetry: clients see that nobody listens, and push nothing'
const STREAMS =
  'groups of Kafka Streams by its newer protocol (KIP-1071), which applications have to ask for; with its default they are classic groups'
const NEWER = 'came after Kafka 4.3'

/** Why the broker does not serve an API of the protocol. What is neither served nor here stops the generation of the document. */
export const whyNotServed: Readonly<Record<string, string>> = {
  CreateDelegationToken: TOKENS,
  RenewDelegationToken: TOKENS,
  ExpireDelegationToken: TOKENS,
  DescribeDelegationToken: TOKENS,
  Vote: QUORUM,
  BeginQuorumEpoch: QUORUM,
  EndQuorumEpoch: QUORUM,
  FetchSnapshot: QUORUM,
  UpdateRaftVoter: QUORUM,
  AlterPartition: TO_CONTROLLER,
  Envelope: TO_CONTROLLER,
  BrokerRegistration: TO_CONTROLLER,
  BrokerHeartbeat: TO_CONTROLLER,
  AllocateProducerIds: TO_CONTROLLER,
  ControllerRegistration: TO_CONTROLLER,
  AssignReplicasToDirs: TO_CONTROLLER,
  GetTelemetrySubscriptions: TELEMETRY,
  PushTelemetry: TELEMETRY,
  StreamsGroupHeartbeat: STREAMS,
  StreamsGroupDescribe: STREAMS,
  StreamsGroupTopologyDescriptionUpdate: `${STREAMS}; ${NEWER}`,
  UnregisterController: NEWER,
}
