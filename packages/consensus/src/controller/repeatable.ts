import { AlterOperation } from '../metadata/controller/alter-configs.ts'
import type { ControllerRequest, ControllerRequestName } from './controller-requests.ts'

type Repeatable = { readonly [N in ControllerRequestName]: boolean | ((request: ControllerRequest<N>) => boolean) }

/**
 * Whether a request that may have been taken can be sent again: done twice it must leave what once would, and answer no failure for
 * what the first time did. An answer such as TOPIC_ALREADY_EXISTS to one's own creation would tell a client that its request certainly
 * failed.
 */
const REPEATABLE: Repeatable = {
  createTopics: ({ validateOnly }) => validateOnly,
  deleteTopics: false,
  createPartitions: ({ validateOnly }) => validateOnly,
  // Setting and deleting say what shall be; adding to and taking from a list say what to change.
  incrementalAlterConfigs: ({ resources, validateOnly }) =>
    validateOnly ||
    resources.every(({ configs }) =>
      configs.every(
        ({ configOperation }) => configOperation === AlterOperation.SET || configOperation === AlterOperation.DELETE,
      ),
    ),
  legacyAlterConfigs: true,
  alterClientQuotas: true,
  // A credential that was deleted just now is not there to be deleted.
  alterScramCredentials: ({ deletions }) => deletions.length === 0,
  // What is there already is a success.
  createAcls: true,
  // The answer tells what was deleted, and the second time finds nothing.
  deleteAcls: false,
  updateFeatures: true,
  // The target again is a success without effect; a second cancellation finds nothing to cancel.
  alterPartitionReassignments: ({ topics }) =>
    topics.every(({ partitions }) => partitions.every(({ replicas }) => replicas !== null)),
  electLeaders: false,
  // A block that nobody gets is lost, and there are enough.
  allocateProducerIds: true,
  // The same incarnation amends its registration.
  registerBroker: true,
  registerController: true,
  unregisterBroker: false,
  // A compare-and-set: done twice it is refused with INVALID_UPDATE_VERSION, on which the leader waits for the metadata that tells.
  alterPartition: true,
  assignReplicasToDirs: true,
  // The first time raises the leader epoch, which the second does not name.
  withdrawReplicas: true,
  describeQuorum: true,
  addVoter: false,
  removeVoter: false,
  updateVoter: true,
  readBarrier: true,
}

export function isRepeatable<N extends ControllerRequestName>(name: N, request: ControllerRequest<N>): boolean {
  const rule = REPEATABLE[name]
  return typeof rule === 'boolean' ? rule : rule(request)
}
