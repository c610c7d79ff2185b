import type { Timers } from '@millrace/base'
import { createAcls, deleteAcls } from '../metadata/controller/alter-acls.ts'
import { alterClientQuotas } from '../metadata/controller/alter-client-quotas.ts'
import { incrementalAlterConfigs, legacyAlterConfigs } from '../metadata/controller/alter-configs.ts'
import { alterPartitions } from '../metadata/controller/alter-partition.ts'
import { alterScramCredentials } from '../metadata/controller/alter-scram-credentials.ts'
import { assignReplicasToDirs } from '../metadata/controller/assign-directories.ts'
import { registerInCluster } from '../metadata/controller/cluster-registration.ts'
import type { ControllerContext, Outcome } from '../metadata/controller/context.ts'
import { createPartitions } from '../metadata/controller/create-partitions.ts'
import { createTopics, splitCreateTopics } from '../metadata/controller/create-topics.ts'
import { deleteTopics } from '../metadata/controller/delete-topics.ts'
import { electLeaders } from '../metadata/controller/elect-leaders.ts'
import { allocateProducerIds } from '../metadata/controller/producer-ids.ts'
import { alterPartitionReassignments } from '../metadata/controller/reassignments.ts'
import { registerController } from '../metadata/controller/register-controller.ts'
import { unregisterBroker } from '../metadata/controller/unregister-broker.ts'
import { updateFeatures } from '../metadata/controller/update-features.ts'
import { withdrawReplicas } from '../metadata/controller/withdraw-replicas.ts'
import type { MetadataImage } from '../metadata/image.ts'
import type { MetadataRecord } from '../metadata/records.ts'
import type { ActiveController } from './active-controller.ts'
import type { ControllerAnswer, ControllerRequest, ControllerRequestName } from './controller-requests.ts'
import { NotControllerError } from './write-queue.ts'

/** What the active controller works out by rules; the rest are questions to the quorum. */
export type MetadataRequestName = Exclude<
  ControllerRequestName,
  'describeQuorum' | 'addVoter' | 'removeVoter' | 'updateVoter' | 'readBarrier'
>

export interface RequestScene {
  readonly active: ActiveController
  readonly timers: Timers
  contextFor(image: MetadataImage): ControllerContext
  nowMs(): number
  /** Monotonic milliseconds by which the request must have begun. */
  readonly deadlineMs: number
}

type Performer<N extends ControllerRequestName> = (
  scene: RequestScene,
  request: ControllerRequest<N>,
) => Promise<ControllerAnswer<N>>

const PERFORMERS: { readonly [N in MetadataRequestName]: Performer<N> } = {
  createTopics: performCreateTopics,
  deleteTopics: performDeleteTopics,
  createPartitions: (scene, request) => submit(scene, (context) => createPartitions(context, request)),
  incrementalAlterConfigs: (scene, { resources, validateOnly }) =>
    submit(scene, (context) => incrementalAlterConfigs(context, resources, validateOnly)),
  legacyAlterConfigs: (scene, { resources, validateOnly }) =>
    submit(scene, (context) => legacyAlterConfigs(context, resources, validateOnly)),
  alterClientQuotas: (scene, { entries, validateOnly }) =>
    submit(scene, (context) => alterClientQuotas(context, entries, validateOnly)),
  alterScramCredentials: (scene, request) => submit(scene, (context) => alterScramCredentials(context, request)),
  createAcls: (scene, { creations }) => submit(scene, (context) => createAcls(context, creations)),
  deleteAcls: (scene, { filters }) => submit(scene, (context) => deleteAcls(context, filters)),
  updateFeatures: (scene, { updates, validateOnly }) =>
    submit(scene, (context) => updateFeatures(context, updates, validateOnly)),
  alterPartitionReassignments: (scene, request) =>
    submit(scene, (context) => alterPartitionReassignments(context, request)),
  electLeaders: (scene, request) => submit(scene, (context) => electLeaders(context, request), false),
  allocateProducerIds: (scene, { brokerId, brokerEpoch }) =>
    submit(scene, (context) => allocateProducerIds(context, brokerId, brokerEpoch)),
  registerBroker: performRegisterBroker,
  registerController: (scene, request) =>
    submit(scene, (context) => registerController(context, { ...request, features: new Map(request.features) })),
  unregisterBroker: performUnregisterBroker,
  alterPartition: (scene, request) => submit(scene, (context) => alterPartitions(context, request), false),
  assignReplicasToDirs: (scene, request) => submit(scene, (context) => assignReplicasToDirs(context, request), false),
  withdrawReplicas: (scene, request) => submit(scene, (context) => withdrawReplicas(context, request), false),
}

/** Does what is asked; resolves when it is committed. Rejects with `NotControllerError` or `ControllerRequestError`. */
export function performRequest<N extends MetadataRequestName>(
  name: N,
  scene: RequestScene,
  request: ControllerRequest<N>,
): Promise<ControllerAnswer<N>> {
  // Mapped types keep no tie between a name and its request here.
  const perform = PERFORMERS[name] as unknown as Performer<N>
  return perform(scene, request)
}

function submit<Response>(
  { active, deadlineMs }: RequestScene,
  rule: (context: ControllerContext) => Outcome<Response>,
  atomic = true,
): Promise<Response> {
  return active.submit(rule, deadlineMs, atomic)
}

async function performCreateTopics(
  scene: RequestScene,
  request: ControllerRequest<'createTopics'>,
): Promise<ControllerAnswer<'createTopics'>> {
  const { parts, settled } = splitCreateTopics(scene.contextFor(scene.active.pending), request)
  const answers = await inSteps(scene, parts, (part) => (context) => createTopics(context, part))
  return [...answers.flat(), ...settled]
}

/** Most topics that are deleted at once: each partition's directory is renamed when the step is committed. */
const TOPICS_PER_STEP = 100

async function performDeleteTopics(
  scene: RequestScene,
  { topics }: ControllerRequest<'deleteTopics'>,
): Promise<ControllerAnswer<'deleteTopics'>> {
  if (topics.length <= TOPICS_PER_STEP) return submit(scene, (context) => deleteTopics(context, topics))
  const { records, response } = deleteTopics(scene.contextFor(scene.active.pending), topics)
  const steps: (readonly MetadataRecord[])[] = []
  for (let start = 0; start < records.length; start += TOPICS_PER_STEP) {
    steps.push(records.slice(start, start + TOPICS_PER_STEP))
  }
  await inSteps(scene, steps, (step) => ({ image }) => ({
    records: step.filter((record) => stillRemoves(image, record)),
    response: null,
  }))
  return response
}

/** Parts of a large request, one after the other, with a turn for others between two. */
async function inSteps<Part, Response>(
  scene: RequestScene,
  parts: readonly Part[],
  ruleOf: (part: Part) => (context: ControllerContext) => Outcome<Response>,
): Promise<Response[]> {
  const responses: Response[] = []
  for (const [slot, part] of parts.entries()) {
    if (slot > 0) await new Promise<void>((resolve) => scene.timers.setTimer(0, resolve))
    try {
      // What has begun must go on: only the first step can come too late.
      const deadlineMs = slot === 0 ? scene.deadlineMs : Number.POSITIVE_INFINITY
      responses.push(await submit({ ...scene, deadlineMs }, ruleOf(part)))
    } catch (error) {
      if (slot > 0 && error instanceof NotControllerError) throw new NotControllerError(true)
      throw error
    }
  }
  return responses
}

/** Others may have deleted the topic since. */
function stillRemoves(image: MetadataImage, record: MetadataRecord): boolean {
  return record.type !== 'RemoveTopicRecord' || image.topicsById.has(record.topicId)
}

function performRegisterBroker(
  scene: RequestScene,
  request: ControllerRequest<'registerBroker'>,
): Promise<ControllerAnswer<'registerBroker'>> {
  const { sessions } = scene.active
  const { brokerId } = request
  const rule = (context: ControllerContext) => {
    const registration = { ...request, features: new Map(request.features) }
    const outcome = registerInCluster(context, registration, sessions.hasLiveSession(brokerId, scene.nowMs()))
    const { response } = outcome
    if ('brokerEpoch' in response) sessions.onRegistered(brokerId, response.brokerEpoch, scene.nowMs())
    return outcome
  }
  return submit(scene, rule, false)
}

function performUnregisterBroker(
  scene: RequestScene,
  { brokerId }: ControllerRequest<'unregisterBroker'>,
): Promise<ControllerAnswer<'unregisterBroker'>> {
  const rule = (context: ControllerContext) => {
    const outcome = unregisterBroker(context, brokerId)
    if (outcome.response === null) scene.active.sessions.onUnregistered(brokerId)
    return outcome
  }
  return submit(scene, rule, false)
}
