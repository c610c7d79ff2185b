import type { Uuid } from '@millrace/base'
import { AclOperation, AclResourceType, CLUSTER_RESOURCE_NAME } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { servedApis } from '../handlers/served-apis.ts'
import { versionsOf } from '../handlers/testing/exchange.ts'
import { NEEDS, type Need } from './needs.ts'
import { GuardedBroker, type Rule } from './testing/guarded-broker.ts'
import { SAMPLE, SAMPLES, type SampleRequest } from './testing/sample-requests.ts'

/**
 * Every API that is served is held against the table of needs: in each version a request is refused without permissions, refused while any
 * one that it cannot do without is missing, with the error of that need, and let through with all of them.
 */

const AUTHORIZATION_ERRORS: ReadonlySet<number> = new Set([
  ErrorCode.TOPIC_AUTHORIZATION_FAILED,
  ErrorCode.GROUP_AUTHORIZATION_FAILED,
  ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
  ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
])

let guarded: GuardedBroker
let topicId: Uuid

beforeAll(async () => {
  guarded = await GuardedBroker.start({ settings: { 'auto.create.topics.enable': 'true' } })
  await guarded.serveGroups()
  topicId = await guarded.admin.createTopic(SAMPLE.topic)
})

beforeEach(async () => {
  await guarded.ensureTopic(SAMPLE.oldTopic)
  // Others delete it.
  await guarded.ensureGroup(SAMPLE.group, SAMPLE.topic)
})

afterAll(() => guarded.stop())

/** The authorization errors in an answer, wherever they stand. */
function refusalsOf(answer: unknown): number[] {
  if (typeof answer !== 'object' || answer === null || Buffer.isBuffer(answer)) return []
  const own = Object.entries(answer).flatMap(([key, value]) =>
    /errorcode$/i.test(key) && AUTHORIZATION_ERRORS.has(value as number) ? [value as number] : refusalsOf(value),
  )
  return [...new Set(own)]
}

async function ask({ api, request }: SampleRequest, version: number): Promise<number[]> {
  return refusalsOf(await guarded.alice.call(api, version, request(version, topicId)))
}

const RESOURCES: Readonly<Record<number, { type: keyof typeof AclResourceType; name: string }>> = {
  [AclResourceType.TOPIC]: { type: 'TOPIC', name: '*' },
  [AclResourceType.GROUP]: { type: 'GROUP', name: SAMPLE.group },
  [AclResourceType.TRANSACTIONAL_ID]: { type: 'TRANSACTIONAL_ID', name: SAMPLE.transactionalId },
  [AclResourceType.CLUSTER]: { type: 'CLUSTER', name: CLUSTER_RESOURCE_NAME },
}

function ruleFor({ resourceType, operation }: Need): Rule {
  const [name] = Object.entries(AclOperation).find(([, number]) => number === operation)!
  return { ...RESOURCES[resourceType]!, operation: name as keyof typeof AclOperation }
}

/** A test of samples that have something to be refused for. */
function whenNeeded(isNeeded: boolean, name: string, body: () => Promise<void>): void {
  if (isNeeded) test(name, body)
}

function needsOf({ api, needs }: SampleRequest): Need[] {
  const all = NEEDS[api.key as keyof typeof NEEDS] as Readonly<Record<string, Need>>
  return needs.map((name) => all[name]!)
}

test('every API that is served says what it needs, and has a sample', () => {
  const served = servedApis().map(({ key }) => key)
  expect(Object.keys(NEEDS).map(Number).sort()).toEqual([...served].sort())
  expect(new Set(SAMPLES.map(({ api }) => api.key))).toEqual(new Set(served))
})

describe.each(SAMPLES.map((sample) => [sample.api.name, sample.needs.join(' and ') || 'nothing', sample] as const))(
  '%s, which needs %s',
  (_name, _needs, sample) => {
    const needs = needsOf(sample)
    const told = versionsOf(sample.api).filter((version) => version >= (sample.toldSince ?? 0))

    whenNeeded(needs.length > 0, 'is refused without', async () => {
      await guarded.clear()
      for (const version of told) {
        const [first, ...others] = await ask(sample, version)
        expect([version, first, others]).toEqual([version, needs[0]!.errorCode, []])
      }
    })

    whenNeeded(needs.length > 1, 'is refused while one is missing', async () => {
      for (const missing of needs) {
        await guarded.clear()
        await guarded.rule(...needs.filter((need) => need !== missing).map(ruleFor))
        // In older versions an answer has no place for it.
        const version = sample.api.maxVersion
        expect(await ask(sample, version)).toEqual([missing.errorCode])
      }
    })

    test('is let through with', async () => {
      await guarded.clear()
      if (needs.length > 0) await guarded.rule(...needs.map(ruleFor))
      for (const version of versionsOf(sample.api)) expect([version, await ask(sample, version)]).toEqual([version, []])
    })

    test('is let through as a super user', async () => {
      await guarded.clear()
      const version = sample.api.maxVersion
      const answer = await guarded.admin.call(sample.api, version, sample.request(version, topicId))
      expect(refusalsOf(answer)).toEqual([])
    })

    whenNeeded(needs.length > 0, 'is refused with it where it is denied', async () => {
      await guarded.clear()
      await guarded.rule(...needs.flatMap((need) => [ruleFor(need), { ...ruleFor(need), deny: true }]))
      expect(await ask(sample, sample.api.maxVersion)).toContain(needs[0]!.errorCode)
    })
  },
)
