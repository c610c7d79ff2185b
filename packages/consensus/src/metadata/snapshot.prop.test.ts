import { SeededRandom } from '@millrace/base'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cluster, contextOf, imageOf, registration } from '../testing/cluster.ts'
import { AclOperation, AclPermissionType, AclResourceType } from './acl.ts'
import { createAcls, deleteAcls } from './controller/alter-acls.ts'
import { incrementalAlterConfigs } from './controller/alter-configs.ts'
import type { ControllerContext } from './controller/context.ts'
import { createPartitions } from './controller/create-partitions.ts'
import { createTopics } from './controller/create-topics.ts'
import { deleteTopics } from './controller/delete-topics.ts'
import { allocateProducerIds } from './controller/producer-ids.ts'
import { alterPartitionReassignments } from './controller/reassignments.ts'
import { ConfigResourceType, type MetadataImage } from './image.ts'
import type { MetadataRecord } from './records.ts'
import { applyRecord, applyRecords, emptyImage } from './reducer.ts'
import { snapshotRecords } from './snapshot.ts'

/** What an image says, in a form that does not depend on the order of maps. */
function contents(image: MetadataImage) {
  const { offset: _, ...rest } = image
  return {
    ...rest,
    topics: new Map(image.topics),
    topicsById: new Map(image.topicsById),
    brokers: new Map(image.brokers),
    configs: new Map(image.configs),
    features: new Map(image.features),
    acls: new Map(image.acls),
  }
}

const name = fc.constantFrom('a', 'b', 'c.d', 'e_f')
const brokers = fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 })

/** One request of a user, worked out against the image it meets. */
const operation: fc.Arbitrary<(context: ControllerContext) => readonly MetadataRecord[]> = fc.oneof(
  fc.tuple(name, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 4 })).map(
    ([topicName, numPartitions, replicationFactor]) =>
      (context: ControllerContext) =>
        createTopics(context, {
          validateOnly: false,
          topics: [
            {
              name: topicName,
              numPartitions,
              replicationFactor,
              assignments: [],
              configs: [{ name: 'retention.ms', value: '5' }],
            },
          ],
        }).records,
  ),
  name.map((topicName) => (context: ControllerContext) => {
    const topicId = context.image.topics.get(topicName)?.id
    return topicId === undefined ? [] : deleteTopics(context, [{ name: null, topicId }]).records
  }),
  fc.tuple(name, fc.integer({ min: 1, max: 8 })).map(
    ([topicName, count]) =>
      (context: ControllerContext) =>
        createPartitions(context, { validateOnly: false, topics: [{ name: topicName, count, assignments: null }] })
          .records,
  ),
  fc.tuple(name, fc.constantFrom('retention.ms', 'cleanup.policy'), fc.integer({ min: 0, max: 3 })).map(
    ([resourceName, key, configOperation]) =>
      (context: ControllerContext) =>
        incrementalAlterConfigs(
          context,
          [
            {
              resourceType: ConfigResourceType.TOPIC,
              resourceName,
              configs: [{ name: key, configOperation, value: '7' }],
            },
          ],
          false,
        ).records,
  ),
  fc.tuple(name, brokers).map(
    ([topicName, replicas]) =>
      (context: ControllerContext) =>
        alterPartitionReassignments(context, {
          allowReplicationFactorChange: true,
          topics: [{ name: topicName, partitions: [{ partitionIndex: 0, replicas }] }],
        }).records,
  ),
  fc.tuple(name, fc.constantFrom(3, 4), fc.integer({ min: 2, max: 15 })).map(
    ([resourceName, patternType, aclOperation]) =>
      (context: ControllerContext) =>
        createAcls(context, [
          {
            resourceType: AclResourceType.TOPIC,
            resourceName,
            patternType,
            principal: 'User:a',
            host: '*',
            operation: aclOperation,
            permissionType: AclPermissionType.ALLOW,
          },
        ]).records,
  ),
  fc.tuple(name, fc.constantFrom(1, 2, 3, 4)).map(
    ([resourceName, patternType]) =>
      (context: ControllerContext) =>
        deleteAcls(context, [
          {
            resourceType: AclResourceType.ANY,
            resourceName,
            patternType,
            principal: null,
            host: null,
            operation: AclOperation.ANY,
            permissionType: AclPermissionType.ANY,
          },
        ]).records,
  ),
  fc.constant((context: ControllerContext) => allocateProducerIds(context, 1, 10).records),
  fc.integer({ min: 1, max: 4 }).map((id) => () => [registration(id, { rack: `rack-${id}` })]),
  fc
    .boolean()
    .map((fenced) => () => [{ type: 'BrokerRegistrationChangeRecord', brokerId: 4, brokerEpoch: 40, fenced }] as const),
)

test('a snapshot, taken anywhere, and the records after it give the image that all records give', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 40 }), fc.nat(), fc.nat(), (operations, seed, cut) => {
      const random = new SeededRandom(seed)
      let image = imageOf(...cluster(1, 2, 3, 4))
      const start = image
      const log: MetadataRecord[] = []
      for (const work of operations) {
        const records = work({ ...contextOf(image), random })
        log.push(...records)
        image = applyRecords(image, records).image
      }
      const position = log.length === 0 ? 0 : cut % (log.length + 1)
      const atCut = applyRecords(start, log.slice(0, position)).image
      const restored = applyRecords(emptyImage('cluster'), snapshotRecords(atCut)).image
      expect(contents(restored)).toEqual(contents(atCut))
      const caughtUp = applyRecords(restored, log.slice(position)).image
      expect(contents(caughtUp)).toEqual(contents(image))
      const oneByOne = log.reduce(applyRecord, start)
      expect(contents(oneByOne)).toEqual(contents(image))
      expect(oneByOne.offset).toBe(image.offset)
    }),
  )
})

test('records survive their text form', () => {
  const records = [...snapshotRecords(imageOf(...cluster(1, 2)))]
  expect(JSON.parse(JSON.stringify(records))).toEqual(records)
})
