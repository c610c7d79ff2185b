import { ConfigurationError } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { parseBrokerConfig } from './parse-broker-config.ts'
import { WrongValuesError } from './wrong-values.ts'

function parse(settings: Record<string, string> = {}) {
  return parseBrokerConfig(new Map(Object.entries(settings)))
}

/** The key that a refusal blames, and its words. */
function refusal(settings: Record<string, string>): { key: string; message: string } {
  try {
    parse(settings)
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error
    return { key: error.key, message: error.message }
  }
  throw new Error(`${JSON.stringify(settings)} was taken`)
}

test('nothing given is one node on loopback', () => {
  const { config, warnings } = parse()
  expect(warnings).toEqual([])
  expect(config).toMatchObject({
    nodeId: 1,
    brokerId: 1,
    processRoles: ['broker', 'controller'],
    endpoints: [{ listener: 'PLAINTEXT', host: '127.0.0.1', port: 9092, securityProtocol: 'PLAINTEXT' }],
    advertisedEndpoints: [{ host: '127.0.0.1', port: 9092 }],
    controllerEndpoints: [],
    interBrokerListener: 'PLAINTEXT',
    dataDirectories: ['./millrace-data'],
    offsetsTopicReplicationFactor: 1,
    transactionStateLogMinIsr: 1,
    groupInitialRebalanceDelayMs: 3000,
    socketRequestMaxBytes: 104_857_600,
    logRetentionMs: null,
    logRetentionHours: 168,
    writeCaching: false,
    autoCreateTopicsEnable: true,
  })
})

test('a file as Kafka ships it is taken', () => {
  const { config, warnings } = parse({
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.bootstrap.servers': 'localhost:9093',
    listeners: 'PLAINTEXT://:9092,CONTROLLER://:9093',
    'inter.broker.listener.name': 'PLAINTEXT',
    'advertised.listeners': 'PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093',
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL',
    'num.network.threads': '3',
    'num.io.threads': '8',
    'socket.send.buffer.bytes': '102400',
    'log.dirs': '/tmp/kraft-combined-logs',
    'num.partitions': '1',
    'offsets.topic.replication.factor': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'log.retention.hours': '168',
    'log.segment.bytes': '1073741824',
    'log.retention.check.interval.ms': '300000',
  })
  expect(warnings).toEqual([])
  expect(config.endpoints.map((endpoint) => endpoint.listener)).toEqual(['PLAINTEXT'])
  expect(config.controllerEndpoints.map((endpoint) => endpoint.port)).toEqual([9093])
  expect(config.advertisedEndpoints).toMatchObject([{ listener: 'PLAINTEXT', host: 'localhost' }])
})

describe('node id', () => {
  test('and broker id are one', () => {
    expect(parse({ 'broker.id': '7' }).config).toMatchObject({ nodeId: 7, brokerId: 7 })
    expect(parse({ 'node.id': '7', 'broker.id': '7' }).config.nodeId).toBe(7)
    expect(refusal({ 'node.id': '7', 'broker.id': '8' }).key).toBe('broker.id')
  })
})

describe('listeners', () => {
  const map = { 'listener.security.protocol.map': 'A:PLAINTEXT,B:PLAINTEXT,C:PLAINTEXT' }
  const named = { ...map, 'inter.broker.listener.name': 'A' }

  test('may be several, with IPv6 hosts, empty hosts and lower-case names', () => {
    const { config } = parse({
      ...named,
      listeners: 'a://[::1]:9092, B://:9093,C://0.0.0.0:0',
      'advertised.listeners': 'A://h:1,B://h:2',
    })
    expect(config.endpoints).toMatchObject([
      { listener: 'A', host: '::1', port: 9092 },
      { listener: 'B', host: '', port: 9093 },
      { listener: 'C', host: '0.0.0.0', port: 0 },
    ])
  })

  test('need an address, a known name, their own name and port', () => {
    expect(refusal({ listeners: 'PLAINTEXT:9092' }).message).toContain('NAME://host:port')
    expect(refusal({ listeners: 'PLAINTEXT://h:99999' }).message).toContain('between 0 and 65535')
    expect(refusal({ listeners: 'INSIDE://:9092' }).message).toContain('listener.security.protocol.map')
    expect(refusal({ ...named, listeners: 'A://:1,A://:2' }).message).toContain('twice')
    expect(refusal({ ...named, listeners: 'A://:1,B://:1' }).message).toContain('own port')
    expect(parse({ ...named, listeners: 'A://127.0.0.1:1,B://[::1]:1' }).config.endpoints).toHaveLength(2)
    expect(refusal({ 'listener.security.protocol.map': 'A:TLS' }).message).toContain('SASL_SSL')
    expect(refusal({ 'listener.security.protocol.map': 'A' }).message).toContain('NAME:PROTOCOL')
  })

  test('must leave one for clients, and one of those for brokers', () => {
    const onlyController = { listeners: 'CONTROLLER://:9093', 'controller.listener.names': 'CONTROLLER' }
    expect(refusal(onlyController).key).toBe('listeners')
    expect(refusal({ ...map, listeners: 'A://h:1' }).key).toBe('inter.broker.listener.name')
    expect(
      refusal({ ...named, listeners: 'A://h:1', 'security.inter.broker.protocol': 'PLAINTEXT' }).message,
    ).toContain('Only one')
    expect(refusal({ ...map, listeners: 'A://h:1', 'inter.broker.listener.name': 'X' }).message).toContain(
      'protocol.map',
    )
  })

  test('are advertised where clients can reach them', () => {
    expect(refusal({ listeners: 'PLAINTEXT://0.0.0.0:9092' }).message).toContain('set advertised.listeners')
    const bound = { listeners: 'PLAINTEXT://0.0.0.0:9092' }
    expect(
      parse({ ...bound, 'advertised.listeners': 'PLAINTEXT://example.org:19092' }).config.advertisedEndpoints,
    ).toMatchObject([{ host: 'example.org', port: 19092 }])
    expect(refusal({ ...bound, 'advertised.listeners': 'SSL://example.org:1' }).key).toBe('advertised.listeners')
  })
})

describe('what a node cannot be is refused', () => {
  test.each([
    ['controller.quorum.voters', { 'controller.quorum.voters': '2@a:1' }],
    ['listeners', { listeners: 'SSL://127.0.0.1:9092', 'security.inter.broker.protocol': 'SSL' }],
    ['listeners', { listeners: 'SSL://127.0.0.1:9092' }],
    ['security.inter.broker.protocol', { 'security.inter.broker.protocol': 'SASL_SSL' }],
    ['authorizer.class.name', { 'authorizer.class.name': 'org.example.Authorizer' }],
    ['super.users', { 'super.users': 'User:admin;bob' }],
  ])('%s', (key, settings: Record<string, string>) => {
    expect(refusal(settings).key).toBe(key)
  })

  test('the own voter alone is fine, and internal topics follow the number of voters', () => {
    expect(parse({ 'controller.quorum.voters': '1@localhost:9093' }).config.offsetsTopicReplicationFactor).toBe(1)
  })
})

describe('rules between settings', () => {
  test.each([
    ['log.roll.ms', { 'log.roll.ms': '0' }],
    ['log.roll.jitter.ms', { 'log.roll.jitter.ms': '-1' }],
    ['log.retention.ms', { 'log.retention.ms': '0' }],
    ['log.retention.hours', { 'log.retention.hours': '0' }],
    ['log.cleaner.dedupe.buffer.size', { 'log.cleaner.dedupe.buffer.size': '1048576' }],
    [
      'log.cleaner.min.compaction.lag.ms',
      { 'log.cleaner.min.compaction.lag.ms': '9', 'log.cleaner.max.compaction.lag.ms': '8' },
    ],
    ['queued.max.request.bytes', { 'queued.max.request.bytes': '1000' }],
    ['max.connections.per.ip', { 'max.connections.per.ip': '0' }],
    ['max.connections.per.ip.overrides', { 'max.connections.per.ip.overrides': 'localhost' }],
    ['connection.failed.authentication.delay.ms', { 'connections.max.idle.ms': '100' }],
    ['replica.fetch.wait.max.ms', { 'replica.fetch.wait.max.ms': '40000' }],
    ['replica.fetch.wait.max.ms', { 'replica.lag.time.max.ms': '100' }],
    ['group.coordinator.rebalance.protocols', { 'group.coordinator.rebalance.protocols': 'consumer' }],
    ['group.min.session.timeout.ms', { 'group.max.session.timeout.ms': '5000' }],
    ['group.consumer.session.timeout.ms', { 'group.consumer.session.timeout.ms': '1000' }],
    ['group.consumer.heartbeat.interval.ms', { 'group.consumer.min.heartbeat.interval.ms': '20000' }],
    [
      'group.share.session.timeout.ms',
      { 'group.share.heartbeat.interval.ms': '50000', 'group.share.max.heartbeat.interval.ms': '60000' },
    ],
    ['group.streams.num.standby.replicas', { 'group.streams.num.standby.replicas': '3' }],
  ])('%s', (key, settings: Record<string, string>) => {
    const { key: blamed, message } = refusal(settings)
    expect(blamed).toBe(key)
    expect(message).toContain(key)
  })

  test('addresses may have their own limits', () => {
    const { config } = parse({
      'max.connections.per.ip': '0',
      'max.connections.per.ip.overrides': '10.0.0.1:5, 0:0:0:0:0:0:0:1:7,[FE80::0:1]:9',
    })
    expect(Object.fromEntries(config.connectionLimitsByAddress)).toEqual({ '10.0.0.1': 5, '::1': 7, 'fe80::1': 9 })
  })

  test.each(['localhost:5', '10.0.0.256:5', '10.0.0.1', '::1:x', '[::g]:5'])('%s would limit nobody', (entry) => {
    expect(refusal({ 'max.connections.per.ip.overrides': entry }).message).toContain('address:count')
  })

  test('what is legal but hardly meant is warned about', () => {
    expect(parse({ 'broker.session.timeout.ms': '800' }).warnings).toEqual([expect.stringMatching(/at most half/)])
    expect(parse({ 'log.retention.hours': '-5' }).warnings).toEqual([
      'log.retention.hours=-5 keeps records for ever, as -1 does',
    ])
    expect(parse({ 'log.retention.hours': '-1' }).warnings).toEqual([])
    expect(parse({ 'log.dirs': 'a,b, a' }).warnings).toEqual(['log.dirs names a more than once'])
  })

  test('mechanisms are no authentication where no listener has any', () => {
    expect(parse({ 'sasl.enabled.mechanisms': 'PLAIN' }).warnings).toEqual([
      expect.stringMatching(/^without effect: sasl\.enabled\.mechanisms\. .*User:ANONYMOUS/),
    ])
  })
})

describe('values that are wrong by themselves', () => {
  function wrongKeys(settings: Record<string, string>): string[] {
    try {
      parse(settings)
    } catch (error) {
      if (error instanceof WrongValuesError) return error.errors.map(({ key }) => key)
      throw error
    }
    throw new Error('taken')
  }

  test('are told all at once, in the order given', () => {
    const scoped = 'listener.name.plaintext.ssl.client.auth'
    expect(wrongKeys({ 'log.segment.bytes': '1', [scoped]: 'maybe', 'node.id': 'one', 'num.partitions': 'x' })).toEqual(
      ['log.segment.bytes', scoped, 'node.id', 'num.partitions'],
    )
  })

  test('one is the error itself, also where it stands for two names', () => {
    expect(refusal({ 'node.id': 'one' }).message).toMatch(/^Invalid value one for configuration node\.id/)
    expect(refusal({ 'broker.id': 'one' }).key).toBe('node.id')
  })
})

test('unknown keys are ignored with a suggestion, wherever they stand', () => {
  const { warnings } = parse({
    'num.partitons': '3',
    'my.plugin.setting': 'x',
    'sasl.kerberos.service.name': 'kafka',
    'listener.name.plaintext.ssl.client.auth': 'none',
  })
  expect(warnings).toEqual([
    'unknown configuration num.partitons is ignored; did you mean num.partitions?',
    'unknown configuration my.plugin.setting is ignored',
    'sasl.kerberos.service.name has no effect here and is ignored',
    expect.stringMatching(/^without effect: listener\.name\.plaintext\.ssl\.client\.auth\./),
  ])
  expect(refusal({ 'listener.name.plaintext.ssl.client.auth': 'maybe' }).key).toBe(
    'listener.name.plaintext.ssl.client.auth',
  )
})

test('the given keys are told from defaults', () => {
  expect([...parse({ 'num.partitions': '1' }).config.givenKeys]).toEqual(['num.partitions'])
})
