import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ConfigurationError } from '@millrace/base'
import type { Logger } from '@millrace/broker'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfiguration, type SettingSources, settingKeyOf } from './configuration.ts'
import { parseProperties } from './configuration-properties.ts'

let directory = ''
let warnings: string[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-configuration-'))
  warnings = []
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

const ignore = () => undefined
const logger: Logger = { debug: ignore, info: ignore, error: ignore, warn: (message) => warnings.push(message) }

function load(init: { file?: string; environment?: Record<string, string>; settings?: [string, string][] }) {
  let configFile: string | null = null
  if (init.file !== undefined) {
    configFile = join(directory, 'server.properties')
    writeFileSync(configFile, init.file)
  }
  const sources: SettingSources = { configFile, environment: init.environment ?? {}, settings: init.settings ?? [] }
  return loadConfiguration(sources, logger)
}

describe('properties files', () => {
  function parse(text: string): [string, string][] {
    return parseProperties(text, 'f').map(({ key, value }) => [key, value])
  }

  test('keys end at =, : or space, and space around the separator is dropped', () => {
    expect(parse('a=1\nb: 2\nc 3\n  d  =  4 \ne\nf=\ng:=h')).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
      ['d', '4 '],
      ['e', ''],
      ['f', ''],
      ['g', '=h'],
    ])
  })

  test('comments and blank lines are nothing, but only at the beginning of a line', () => {
    expect(parse('# a=1\n  ! b=2\n\n \t\nc=3 # not a comment')).toEqual([['c', '3 # not a comment']])
  })

  test('a backslash at the end joins the next line, two do not', () => {
    expect(parse('a=1,\\\n    2,\\\n    # 3\nb=x\\\\\nc=y')).toEqual([
      ['a', '1,2,# 3'],
      ['b', 'x\\'],
      ['c', 'y'],
    ])
    expect(parse('a=1\\')).toEqual([['a', '1']])
    expect(parse('a=1\r\nb=2\rc=3')).toEqual([
      ['a', '1'],
      ['b', '2'],
      ['c', '3'],
    ])
  })

  test('escapes stand in keys and values', () => {
    expect(parse('a\\ b\\=c=x\\ty\\u00e9\\:\\z')).toEqual([['a b=c', 'x\tyé:z']])
    expect(parse('path=C:\\\\data')).toEqual([['path', 'C:\\data']])
  })

  test('a broken escape names file and line', () => {
    expect(() => parseProperties('\na=1\nb=\\u12', 'server.properties')).toThrow(
      /^server\.properties:3: .*four hexadecimal/,
    )
  })

  test('lines count from one, at the beginning of a joined line', () => {
    expect(parseProperties('# x\na=1,\\\n2\nb=3', 'f').map(({ line }) => line)).toEqual([2, 4])
  })
})

describe('precedence', () => {
  test('command line over environment over file over defaults', () => {
    const file = 'num.partitions=2\nlog.retention.hours=2\nmessage.max.bytes=2000000'
    const environment = { MILLRACE_NUM_PARTITIONS: '3', MILLRACE_LOG_RETENTION_HOURS: '3', PATH: '/bin' }
    const { broker } = load({
      file,
      environment,
      settings: [
        ['num.partitions', '4'],
        ['num.partitions', '5'],
      ],
    })
    expect(broker.numPartitions).toBe(5)
    expect(broker.logRetentionHours).toBe(3)
    expect(broker.messageMaxBytes).toBe(2_000_000)
    expect(broker.defaultReplicationFactor).toBe(1)
  })

  test('without a file an empty group does not wait for members, with a file it does', () => {
    expect(load({}).broker.groupInitialRebalanceDelayMs).toBe(0)
    expect(load({ file: '' }).broker.groupInitialRebalanceDelayMs).toBe(3000)
    expect(
      load({ environment: { MILLRACE_GROUP_INITIAL_REBALANCE_DELAY_MS: '7' } }).broker.groupInitialRebalanceDelayMs,
    ).toBe(7)
  })

  test('MILLRACE_PORT moves the listener, the flag wins, and nonsense is refused', () => {
    const portOf = (init: Parameters<typeof load>[0]) => load(init).broker.endpoints[0]?.port
    expect(portOf({ environment: { MILLRACE_PORT: '19313' } })).toBe(19313)
    expect(portOf({ environment: { MILLRACE_PORT: '19313' }, settings: [['port', '7']] })).toBe(7)
    expect(() => load({ environment: { MILLRACE_PORT: '99999' } })).toThrow(/MILLRACE_PORT: 99999 is no port/)
  })

  test('MILLRACE_PORT as Kubernetes sets it beside a service of that name is no port', () => {
    const { broker } = load({ environment: { MILLRACE_PORT: 'tcp://10.0.0.1:9092' } })
    expect(broker.endpoints).toMatchObject([{ port: 9092 }])
    expect(warnings).toEqual([expect.stringContaining('Kubernetes')])
  })

  test('environment variables are keys in capitals with underscores', () => {
    expect(settingKeyOf('MILLRACE_LOG_RETENTION_MS')).toBe('log.retention.ms')
    expect(settingKeyOf('MILLRACE_LISTENER_NAME_MY__NAME_SASL_JAAS_CONFIG')).toBe(
      'listener.name.my_name.sasl.jaas.config',
    )
    expect(settingKeyOf('MILLRACE_BOOTSTRAP_SERVERS')).toBeNull()
    expect(settingKeyOf('HOME')).toBeNull()
    expect(settingKeyOf('MILLRACE_')).toBeNull()
  })
})

describe('messages', () => {
  function messageOf(init: Parameters<typeof load>[0]): string {
    try {
      load(init)
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigurationError)
      return (error as Error).message
    }
    throw new Error('nothing was refused')
  }

  test('name the file and line, the variable or the flag', () => {
    const where = join(directory, 'server.properties')
    expect(messageOf({ file: '# head\nlog.segment.bytes=10' })).toBe(
      `${where}:2: Invalid value 10 for configuration log.segment.bytes: must be at least 1048576`,
    )
    expect(messageOf({ environment: { MILLRACE_NODE_ID: 'one' } })).toMatch(
      /^environment variable MILLRACE_NODE_ID: .*node\.id/,
    )
    expect(messageOf({ settings: [['log.cleanup.policy', 'burn']] })).toMatch(/^command line: .*compact, delete/)
  })

  test('an unknown key is refused on the command line only, with the nearest names', () => {
    expect(messageOf({ settings: [['num.partitons', '3']] })).toBe(
      'command line: unknown setting num.partitons; did you mean num.partitions?',
    )
    expect(messageOf({ settings: [['retention.ms', '3']] })).toContain('log.retention.ms')
    expect(load({ settings: [['ssl.provider', 'x']] }).warnings).toHaveLength(1)
    expect(load({ environment: { MILLRACE_NUM_PARTITONS: '3' } }).warnings).toHaveLength(1)
  })

  test('all wrong values are told, in the order of the file and then of what is stronger', () => {
    const where = join(directory, 'server.properties')
    const text = messageOf({
      file: 'num.partitions=0\nlog.segment.bytes=10\nmessage.max.bytes=x\nnum.partitions=none',
      settings: [['log.cleanup.policy', 'burn']],
    })
    const places = text.split('\n').map((line) => line.slice(0, line.indexOf(': ')))
    expect(places).toEqual([`${where}:2`, `${where}:3`, `${where}:4`, 'command line'])
  })

  test('an id that is wrong is told once, with the place of the name that was given', () => {
    expect(messageOf({ file: 'broker.id=one' })).toMatch(
      /server\.properties:1: Invalid value one for .*node\.id[^\n]*$/,
    )
  })

  test('a comment behind a value is recognized, in files', () => {
    const hint = 'comments stand on lines of their own'
    expect(messageOf({ file: 'num.partitions=3   # mine' })).toContain(hint)
    expect(messageOf({ settings: [['num.partitions', '3 # mine']] })).not.toContain(hint)
    expect(messageOf({ file: 'num.partitions=three' })).not.toContain(hint)
  })

  test('a file of which most is no configuration is refused', () => {
    const prose = '# Readme\n\nA log service\nthat is fast.\nIt works.\nStart it:\nand stop.\nnum.partitions=3'
    expect(messageOf({ file: prose })).toMatch(
      /server\.properties:3: A is no setting .*\(5 of 6\): is this the right file\?$/,
    )
    expect(warnings).toEqual([])
  })

  test('a file with a few keys of plug-ins is a configuration', () => {
    const plugIns = Array.from({ length: 5 }, (_, slot) => `my.plugin.${slot}=x`).join('\n')
    const own = 'num.partitions=1\nnode.id=1\nlog.retention.hours=1\nmessage.max.bytes=1000\nlog.dirs=d'
    expect(load({ file: `${plugIns}\n${own}` }).warnings).toHaveLength(5)
    expect(load({ file: 'my.plugin=x' }).warnings).toHaveLength(1)
  })

  test('a setting that is given twice on the command line is warned about, if it differs', () => {
    const twice = (first: string, second: string) =>
      load({
        settings: [
          ['log.dirs', first],
          ['log.dirs', second],
        ],
      })
    expect(twice('a', 'b').broker.dataDirectories).toEqual(['b'])
    expect(warnings).toEqual(['command line: log.dirs is set again; a is ignored'])
    twice('a', 'a')
    expect(warnings).toHaveLength(1)
  })

  test('a file that cannot be read says so', () => {
    const sources = { configFile: join(directory, 'absent'), environment: {}, settings: [] }
    expect(() => loadConfiguration(sources, logger)).toThrow(/cannot be read: .*absent/)
  })

  test('a key that is set twice in a file, and unknown keys, are warned about', () => {
    const { warnings: own, broker } = load({
      file: 'num.partitions=2\nnum.partitions=3\nlog.retenton.ms=1\nssl.provider=x',
    })
    expect(broker.numPartitions).toBe(3)
    expect(warnings).toEqual([expect.stringMatching(/:2: num\.partitions is set again.*:1 is ignored/)])
    expect(own).toEqual([
      `${join(directory, 'server.properties')}:3: unknown configuration log.retenton.ms is ignored; did you mean log.retention.ms?`,
      `${join(directory, 'server.properties')}:4: ssl.provider has no effect here and is ignored`,
    ])
  })
})

describe('--port', () => {
  test('moves the default listener, and the one of the file with its advertised address', () => {
    expect(load({ settings: [['port', '0']] }).broker.endpoints).toMatchObject([{ host: '127.0.0.1', port: 0 }])
    const { broker } = load({
      file: 'listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER\nadvertised.listeners=PLAINTEXT://example.org:9092',
      settings: [['port', '19092']],
    })
    expect(broker.endpoints).toMatchObject([{ listener: 'PLAINTEXT', port: 19092 }])
    expect(broker.controllerEndpoints).toMatchObject([{ port: 9093 }])
    expect(broker.advertisedEndpoints).toMatchObject([{ host: 'example.org', port: 19092 }])
  })

  test('does not guess between several listeners', () => {
    const file =
      'listeners=PLAINTEXT://:9092,OTHER://:9095\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT'
    expect(() => load({ file, settings: [['port', '1']] })).toThrow(/only with one listener/)
  })
})
