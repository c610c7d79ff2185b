import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseStartArguments } from './start-arguments.ts'
import { UsageError } from './usage-error.ts'

test('later settings win over the short options, and a value may hold an equals sign', () => {
  const parsed = parseStartArguments(['--port', '0', '--data-dir', 'd', '--set', 'a = b=c', '--quiet'])
  expect(parsed).toEqual({
    configFile: null,
    settings: [
      ['log.dirs', 'd'],
      ['port', '0'],
      ['a', 'b=c'],
    ],
    logLevel: 'info',
    quiet: true,
    clusterSize: null,
    port: '0',
    dataDirectory: 'd',
    endWithParent: false,
  })
  expect(parseStartArguments(['--help'])).toBeNull()
})

test('port and directory of a cluster are no settings, since each node has its own', () => {
  const parsed = parseStartArguments(['--cluster', '3', '--port', '7000', '--data-dir', 'd', '--set', 'a=b'])
  expect(parsed).toMatchObject({ clusterSize: 3, port: '7000', dataDirectory: 'd', settings: [['a', 'b']] })
})

test.each(['--cluster=0', '--cluster=10', '--cluster=x', '--cluster='])('%s is wrong usage', (argument) => {
  expect(() => parseStartArguments([argument])).toThrow(UsageError)
  expect(() => parseStartArguments(['--cluster=3', '--set=port=1'])).toThrow(UsageError)
})

test.each(['--bogus', 'extra', '--port=70000', '--port=', '--set==x', '--set=port=abc', '--log-level=x'])(
  '%s is wrong usage',
  (argument) => {
    expect(() => parseStartArguments([argument])).toThrow(UsageError)
  },
)

test('the entry links on an old Node, which it has to tell that it is old', () => {
  const entry = readFileSync(join(import.meta.dirname, '../bin/millrace.mjs'), 'utf8')
  const names = [...entry.matchAll(/^import \{([^}]+)\}/gm)].flatMap(([, list]) =>
    list!.split(',').map((name) => name.trim()),
  )
  // All of them are in Node since 10.12.
  expect(names.sort()).toEqual(['dirname', 'existsSync', 'fileURLToPath', 'join', 'pathToFileURL'])
})
