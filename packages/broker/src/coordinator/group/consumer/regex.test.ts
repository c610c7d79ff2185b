import { ErrorCode } from '@millrace/protocol'
import { beforeAll, describe, expect, test } from 'vitest'
import { imageOf } from '../../testing/coordinator-fixture.ts'
import { GROUP, GroupDriver, topicId } from '../../testing/group-driver.ts'
import { compileTopicRegex, loadTopicRegex } from './topic-regex.ts'

beforeAll(loadTopicRegex)

const REGEX = { subscribedTopics: null }

function driverOf(topics: readonly string[]): GroupDriver {
  const driver = new GroupDriver()
  driver.image = imageOf(topics, 2)
  return driver
}

const topicsOf = (driver: GroupDriver, memberId: string) => {
  const found = driver.consumerGroup!.members.find(({ member }) => member.memberId === memberId)!
  return [...found.member.assigned.keys()].map((id) => driver.directory.nameOf(id)).sort()
}

describe('a regular expression', () => {
  test('is matched after the heartbeat that brings it, and gives topics at the next one', () => {
    const driver = driverOf(['orders-1', 'orders-2', 'payments'])
    const joined = driver.consumer('a', 0, { ...REGEX, topicRegex: 'orders-.*' })
    expect([joined.errorCode, joined.memberEpoch, joined.assignment?.size]).toEqual([0, 1, 0])
    driver.advance(0)
    expect(driver.records.at(-2)).toMatchObject({ type: 'consumer-regex', value: { topics: ['orders-1', 'orders-2'] } })
    const answer = driver.consumer('a', 1)
    expect([answer.memberEpoch, answer.assignment?.size]).toEqual([2, 2])
    expect(topicsOf(driver, 'a')).toEqual(['orders-1', 'orders-2'])
    expect(driver.machine.describeConsumerGroup(GROUP)!.members[0]!.member.metadata.topicRegex).toBe('orders-.*')
    // Another that brings it too has it at once.
    expect(driver.consumer('b', 0, { ...REGEX, topicRegex: 'orders-.*' }).memberEpoch).toBe(3)
    expect(driver.reload().consumerGroup).toEqual(driver.consumerGroup)
  })

  test('matches whole names, and those only that the client may know of', () => {
    const driver = driverOf(['orders', 'old-orders', 'orders-secret'])
    driver.consumer('a', 0, {
      ...REGEX,
      topicRegex: 'orders(-.*)?',
      mayDescribe: (topic) => !topic.endsWith('secret'),
    })
    driver.advance(0)
    driver.consumer('a', 1)
    expect(topicsOf(driver, 'a')).toEqual(['orders'])
  })

  test('finds topics that are created later, but no more often than every ten seconds', () => {
    const driver = driverOf(['orders-1'])
    driver.consumer('a', 0, { ...REGEX, topicRegex: 'orders-.*' })
    driver.advance(0)
    driver.consumer('a', 1)
    const written = driver.records.length
    driver.image = imageOf(['orders-1', 'orders-2'], 2)
    driver.directory.onCreated()
    driver.advance(5000)
    driver.consumer('a', 2)
    driver.advance(0)
    expect(driver.records.length).toBe(written)
    driver.advance(5001)
    driver.consumer('a', 2)
    driver.advance(0)
    driver.consumer('a', 2)
    expect(topicsOf(driver, 'a')).toEqual(['orders-1', 'orders-2'])
    // Nothing new, nothing written.
    const later = driver.records.length
    driver.advance(30_000)
    driver.consumer('a', 3)
    driver.advance(0)
    expect(driver.records.length).toBe(later)
  })

  test.each([
    ['was not written', {}, 56],
    ['had no room', { groupCoordinatorMaxBytes: 0 }, 0],
  ])('is matched again soon if what it matches newly %s', (_, limits, logError) => {
    const driver = driverOf(['orders-1'])
    driver.consumer('a', 0, { ...REGEX, topicRegex: 'orders-.*' })
    driver.advance(0)
    driver.consumer('a', 1)
    driver.advance(20_000)
    driver.image = imageOf(['orders-1', 'orders-2'], 2)
    driver.directory.onCreated()
    driver.consumer('a', 2)
    const { groupCoordinatorMaxBytes } = driver.config
    Object.assign(driver.config, limits)
    driver.holdsWrites = logError !== 0
    driver.advance(0)
    driver.settle(logError)
    driver.holdsWrites = false
    Object.assign(driver.config, { groupCoordinatorMaxBytes })
    expect(topicsOf(driver, 'a')).toEqual(['orders-1'])
    for (let n = 0; n < 3; n++) {
      driver.advance(5_001)
      driver.consumer('a', driver.consumerGroup!.members[0]!.member.memberEpoch)
    }
    expect(topicsOf(driver, 'a')).toEqual(['orders-1', 'orders-2'])
  })

  test('stands beside names, and is forgotten with its last member', () => {
    const driver = driverOf(['orders-1', 'payments'])
    driver.consumer('a', 0, { subscribedTopics: ['payments'], topicRegex: 'orders-.*' })
    driver.advance(0)
    driver.consumer('a', 1)
    expect(topicsOf(driver, 'a')).toEqual(['orders-1', 'payments'])
    const owned = driver.consumerGroup!.members[0]!.member.assigned
    const answer = driver.consumer('a', 2, { topicRegex: '', owned })
    expect([...answer.assignment!.keys()]).toEqual([topicId('payments')])
    expect(driver.records).toContainEqual({ type: 'consumer-regex', groupId: GROUP, regex: 'orders-.*', value: null })
  })

  test('that is none is refused, and leaves no group', () => {
    const driver = driverOf(['orders-1'])
    for (const topicRegex of ['(', 'a{1001}', '(?=a)', '\\1', `${'a'.repeat(3000)}`]) {
      const answer = driver.consumer('a', 0, { ...REGEX, topicRegex })
      expect(answer.errorCode).toBe(ErrorCode.INVALID_REGULAR_EXPRESSION)
    }
    expect(driver.consumerGroup).toBeNull()
    expect(driver.records).toEqual([])
  })

  test('that would take long is refused, and no other holds the loop', () => {
    expect(compileTopicRegex('((a{100}){10}b){1000}')).toBeNull()
    expect(compileTopicRegex(`${'(?:[a-z]{100}){10}'.repeat(20)}`)).toBeNull()
    expect(compileTopicRegex('.{1000}'.repeat(200))).toBeNull()
    const uuid = compileTopicRegex('[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')
    expect(uuid?.matches('6fa459ea-ee8a-3ca4-894e-db77e160355e')).toBe(true)
    const hostile = compileTopicRegex('(a+)+(a+)+(a+)+$')!
    expect(hostile.matches(`${'a'.repeat(240)}b`)).toBe(false)
  })

  test('that would take long to compile is refused before it is compiled', () => {
    const wide = '[\u0100-\u{1e900}]'
    for (const text of [
      '\\pL'.repeat(600),
      `(?i)${'\\PL'.repeat(600)}`,
      `(?i)[${'\\p{L}'.repeat(300)}](`,
      `(?i)${wide.repeat(300)}`,
      `${`(?i:${wide})`.repeat(200)}`,
      `(?s-i)${'[^\\x{100}-\\x{1E8FF}]'.repeat(80)}`,
    ]) {
      expect(compileTopicRegex(text)).toBeNull()
    }
    for (const text of ['(?i)topic-\\d+', '(?i)[a-z0-9._-]+', `[${wide}]+`.repeat(20), '\\pL+-\\p{Greek}']) {
      expect(compileTopicRegex(text)).not.toBeNull()
    }
  })

  test('of very many instructions is taken only if it repeats nothing', () => {
    const names = Array.from({ length: 60 }, (_, n) => `topic-number-${n}-of-this-cluster`)
    expect(compileTopicRegex(`(?:${names.join('|')})`)?.matches(names[59]!)).toBe(true)
    expect(compileTopicRegex(`(?:${'a*|'.repeat(600)})*b`)).toBeNull()
    expect(compileTopicRegex('(?:(?:a*|b){100}){9}c')).toBeNull()
    expect(compileTopicRegex('x'.repeat(1500))?.size).toBeGreaterThan(1500)
    expect(compileTopicRegex(`${'x'.repeat(1500)}?`)).toBeNull()
  })

  test('costs by its instructions: of a long one and long names few are matched in a turn', () => {
    const topics = Array.from({ length: 50 }, (_, n) => `${'ab'.repeat(100)}-${n}`)
    const driver = driverOf(topics)
    driver.consumer('a', 0, { ...REGEX, topicRegex: '(?:(?:a|b){30}|-){7}.*' })
    let turns = 0
    for (; !driver.records.some(({ type }) => type === 'consumer-regex'); turns++) driver.advance(1)
    expect(turns).toBeGreaterThan(50)
  })

  test('is compiled in a turn of its own', () => {
    const driver = driverOf(['orders-1'])
    for (let n = 0; n < 20; n++) driver.consumer(`m${n}`, 0, { ...REGEX, topicRegex: `orders-${n}|orders-.*` })
    driver.advance(11_000)
    driver.consumer('m0', driver.consumerGroup!.members[0]!.member.memberEpoch)
    const resolved = () => driver.records.filter(({ type }) => type === 'consumer-regex').length
    const before = resolved()
    driver.advance(19 * 5 - 1)
    expect(resolved()).toBe(before)
    driver.advance(1)
    expect(resolved()).toBe(before + 19)
  })

  test('over very many topics is matched a slice at a time', () => {
    const driver = driverOf(Array.from({ length: 5000 }, (_, n) => `topic-${n}`))
    driver.consumer('a', 0, { ...REGEX, topicRegex: 'topic-.*7' })
    driver.advance(0)
    expect(driver.records.filter(({ type }) => type === 'consumer-regex')).toEqual([])
    driver.advance(100)
    const record = driver.records.find(({ type }) => type === 'consumer-regex')
    expect(record).toMatchObject({ value: { topics: { length: 500 } } })
  })
})
