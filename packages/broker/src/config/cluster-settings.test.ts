import { ConfigurationError } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { STANDARD_AUTHORIZER } from './definitions/security-definitions.ts'
import { parseBrokerConfig } from './parse-broker-config.ts'

const VOTERS = '1@127.0.0.1:9093,2@127.0.0.1:9094,3@127.0.0.1:9095'

const COMBINED = {
  'controller.quorum.voters': VOTERS,
  'controller.listener.names': 'CONTROLLER',
  listeners: 'PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093',
}

const BROKER = { 'process.roles': 'broker', 'node.id': '7', 'controller.quorum.voters': VOTERS }

const CONTROLLER = { ...COMBINED, 'process.roles': 'controller', listeners: 'CONTROLLER://127.0.0.1:9093' }

function parse(settings: Readonly<Record<string, string>>) {
  return parseBrokerConfig(new Map(Object.entries(settings)))
}

function refusal(settings: Readonly<Record<string, string>>): ConfigurationError {
  try {
    parse(settings)
  } catch (error) {
    if (error instanceof ConfigurationError) return error
    throw error
  }
  throw new Error('was not refused')
}

test('a node that is told of nobody else keeps its own metadata', () => {
  expect(parse({}).config.cluster).toBeNull()
  expect(parse({ 'controller.quorum.voters': '1@localhost:9093' }).config.cluster).toBeNull()
  expect(parse({ 'controller.quorum.bootstrap.servers': 'localhost:9093' }).config.cluster).toBeNull()
})

test('a combined node knows the first voters and where it listens for them', () => {
  const { config, warnings } = parse(COMBINED)
  expect(config.cluster).toMatchObject({ isBroker: true, isController: true, peerListener: { port: 9093 } })
  expect(config.cluster?.initialVoters.map(({ id, port }) => [id, port])).toEqual([
    [1, 9093],
    [2, 9094],
    [3, 9095],
  ])
  expect(config.endpoints.map(({ listener }) => listener)).toEqual(['PLAINTEXT'])
  expect(config.offsetsTopicReplicationFactor).toBe(3)
  expect(warnings).toEqual([])
})

test('a broker alone listens to clients only, and internal topics are replicated as in Kafka', () => {
  const { config } = parse(BROKER)
  expect(config.cluster).toMatchObject({ isBroker: true, isController: false, peerListener: null })
  expect(config.offsetsTopicReplicationFactor).toBe(3)
})

test('a controller alone has no listener for clients', () => {
  expect(parse(CONTROLLER).config.cluster).toMatchObject({ isBroker: false, isController: true })
  expect(refusal({ ...CONTROLLER, listeners: COMBINED.listeners }).message).toContain('PLAINTEXT is for clients')
})

test('one voter is a quorum where a cluster is named', () => {
  const settings = {
    ...COMBINED,
    'controller.quorum.voters': '1@localhost:9093',
    'cluster.id': 'q1Sh-9_ISia_zwGINzRvyQ',
  }
  expect(parse(settings).config.cluster?.initialVoters).toHaveLength(1)
})

test('addresses in brackets are taken', () => {
  const voters = '1@[::1]:9093,2@b:2,3@c:3'
  expect(parse({ ...COMBINED, 'controller.quorum.voters': voters }).config.cluster?.initialVoters[0]).toEqual({
    id: 1,
    host: '::1',
    port: 9093,
  })
})

describe('refused', () => {
  test.each<[key: string, words: string, settings: Record<string, string>]>([
    ['controller.quorum.voters', 'set controller.quorum.voters', { 'process.roles': 'broker' }],
    ['controller.quorum.voters', 'must be id@host:port', { ...BROKER, 'controller.quorum.voters': 'localhost:9093' }],
    ['controller.quorum.voters', 'names node 1 twice', { ...COMBINED, 'controller.quorum.voters': '1@a:1,1@b:1' }],
    ['controller.quorum.voters', 'does not name this node', { ...COMBINED, 'node.id': '9' }],
    ['controller.quorum.voters', 'which is no controller', { ...BROKER, 'node.id': '2' }],
    ['controller.listener.names', 'needs a listener', { 'controller.quorum.voters': VOTERS }],
    ['listeners', 'take it out', { ...COMBINED, 'process.roles': 'broker', 'node.id': '9' }],
    ['controller.peer.secret', 'at least 16', { ...COMBINED, 'controller.peer.secret': 'short' }],
    ['controller.peer.tls.certificate.location', 'must be set too', { 'controller.peer.tls.key.location': 'k' }],
    ['cluster.id', '22 letters', { 'cluster.id': 'mine' }],
  ])('%s: %s', (key, words, settings) => {
    const error = refusal(settings)
    expect(error.key).toBe(key)
    expect(error.message).toContain(words)
  })
})

test('open connections to other machines are warned of', () => {
  const remote = { ...COMBINED, 'controller.quorum.voters': '1@a:1,2@b:1,3@c:1' }
  expect(parse(remote).warnings.join()).toContain('neither authenticated nor encrypted')
  expect(parse({ ...remote, 'controller.peer.secret': 'long enough a secret' }).warnings).toEqual([])
})

describe('an authorizer', () => {
  const authorizer = { 'authorizer.class.name': STANDARD_AUTHORIZER }
  const warningsOf = (settings: Record<string, string>) => parse({ ...COMBINED, ...settings }).warnings.join()

  test('without anybody who could make the first ACL is warned of', () => {
    const secret = { 'controller.peer.secret': 'long enough a secret' }
    expect(warningsOf({ ...authorizer, ...secret })).toContain('there are no super.users')
    expect(warningsOf({ ...authorizer, ...secret, 'super.users': 'User:a' })).toBe('')
    expect(warningsOf({ ...authorizer, ...secret, 'allow.everyone.if.no.acl.found': 'true' })).toBe('')
  })

  test('of brokers that cannot prove themselves is warned of', () => {
    expect(warningsOf({ ...authorizer, 'super.users': 'User:a' })).toContain('controller.peer.secret')
  })

  test('that is not there, and was meant to be, is warned of', () => {
    expect(warningsOf({ 'super.users': 'User:a' })).toContain('super.users without authorizer.class.name')
    expect(warningsOf({})).toBe('')
  })
})
