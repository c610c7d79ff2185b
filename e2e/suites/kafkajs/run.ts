/**
 * Runs the specs of a kafkajs checkout against a broker and compares with the names that pass on Apache Kafka.
 *
 *   node e2e/suites/kafkajs/run.ts --checkout DIR --names FILE [--bootstrap HOST:PORT] [--work DIR] [--out FILE] [--only TEXT]
 *                                  [--without REGEXP]
 *
 * The checkout (tulios/kafkajs at 55b0b41; the package on npm has no specs) is copied to a folder outside this repository, where its
 * helpers are pointed at the broker; nothing of it comes here. Without `--bootstrap` it starts the built broker, or, with `E2E_KAFKA`,
 * Apache Kafka. `--names` has one `FILE > NAME` a line. Exits with 1 if one of these did not pass; `--out` gets all results as JSON.
 * `--without` leaves out the specs whose name matches, from the run and from what is expected.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startBroker } from '../../harness/broker.ts'
import { run } from '../../harness/run.ts'
import { type Comparison, compare, type JestReport, specResults } from './results.ts'

/** What the specs need beside kafkajs itself, in the versions of its own package.json. */
const dependencies = {
  execa: '^2.0.3',
  glob: '^7.1.4',
  jest: '^25.1.0',
  'jest-circus': '^25.1.0',
  'jest-extended': '^0.11.2',
  jsonwebtoken: '^9.0.0',
  mockdate: '^2.0.5',
  semver: '^6.2.0',
  uuid: '^3.3.2',
}

/** Specs that talk to a broker name one of these helpers. */
const usesBroker = /connectionOpts|plainTextBrokers|createCluster|createTopic|createConnection/

async function prepare(checkout: string, work: string, host: string, port: string): Promise<string[]> {
  mkdirSync(work, { recursive: true })
  for (const part of ['src', 'testHelpers', 'index.js', 'package.json'])
    cpSync(join(checkout, part), join(work, part), { recursive: true })
  const manifest = JSON.parse(readFileSync(join(work, 'package.json'), 'utf8'))
  const own = { name: 'kafkajs', version: manifest.version, private: true, main: 'index.js', dependencies }
  writeFileSync(join(work, 'package.json'), JSON.stringify(own))
  await run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], { directory: work, timeoutMs: 300_000 })

  const helpers = join(work, 'testHelpers/index.js')
  const changes: [from: string | RegExp, to: string][] = [
    [`const getHost = () => 'localhost'`, `const getHost = () => '${host}'`],
    [/const plainTextBrokers = .*/, `const plainTextBrokers = () => ['${host}:${port}']`],
    [/(?<=const connectionOpts = [\s\S]*?port: )9092/, port],
    [/(?<=const createTopic = [\s\S]*?getHost\(\)\}:)9092/, port],
    [
      'execa.commandSync(cmd, { shell: true })',
      `const admin = new Kafka({ brokers: plainTextBrokers() }).admin()
  await admin.connect()
  await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] })
  await admin.disconnect()`,
    ],
  ]
  let text = readFileSync(helpers, 'utf8')
  for (const [from, to] of changes) {
    const changed = text.replace(from, to)
    if (changed === text) throw new Error(`${helpers} is not of the commit that this was written for: no ${from}`)
    text = changed
  }
  writeFileSync(helpers, text)
  const config = {
    moduleNameMapper: { testHelpers: '<rootDir>/testHelpers/index.js' },
    setupFilesAfterEnv: ['<rootDir>/testHelpers/setup.js'],
    testRunner: 'jest-circus/runner',
    testEnvironment: 'node',
    testRegex: '(/__tests__/.*\\.spec\\.js|(\\.|/)spec)\\.jsx?$',
  }
  writeFileSync(join(work, 'jest.config.js'), `module.exports = ${JSON.stringify(config)}`)
  return readdirSync(join(work, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.spec.js') && usesBroker.test(readFileSync(join(work, 'src', file), 'utf8')))
    .map((file) => join('src', file))
    .sort()
}

async function runSpecs(work: string, specs: readonly string[], without: string): Promise<JestReport> {
  const report = join(work, 'report.json')
  const jest = join(work, 'node_modules/jest/bin/jest.js')
  const args = [jest, '--ci', '--forceExit', '--maxWorkers=2', '--json', `--outputFile=${report}`]
  if (without) args.push(`--testNamePattern=^(?!.*(${without}))`)
  const environment = { KAFKA_VERSION: '2.4', NODE_ENV: 'test', KAFKAJS_DEBUG_PROTOCOL_BUFFERS: '1', TEST_RETRIES: '0' }
  // A runner that dies leaves none: that of an earlier run must not stand in for it.
  rmSync(report, { force: true })
  await run(process.execPath, [...args, ...specs], {
    directory: work,
    environment,
    timeoutMs: 1_800_000,
    allowExit: [1],
  })
  return JSON.parse(readFileSync(report, 'utf8'))
}

function print({ expectedCount, passed, failed, absent }: Comparison): void {
  for (const { name, message } of failed) console.log(`FAILED ${name}\n  ${message.replaceAll('\n', '\n  ')}`)
  for (const name of absent) console.log(`NOT RUN ${name}`)
  console.log(`${expectedCount} expected: ${passed.length} passed, ${failed.length + absent.length} failed`)
}

const { values } = parseArgs({
  options: {
    checkout: { type: 'string' },
    names: { type: 'string' },
    bootstrap: { type: 'string' },
    work: { type: 'string', default: join(tmpdir(), 'kafkajs-specs') },
    out: { type: 'string' },
    only: { type: 'string', default: '' },
    without: { type: 'string', default: '' },
  },
})
if (!values.checkout || !values.names) throw new Error('--checkout and --names are needed')
const work = resolve(values.work)
if (!relative(join(import.meta.dirname, '../../..'), work).startsWith('..'))
  throw new Error('--work lies inside this repository')

const broker = values.bootstrap ? null : await startBroker()
try {
  const [host = '', port = ''] = (values.bootstrap ?? broker?.bootstrap ?? '').split(':')
  const specs = (await prepare(resolve(values.checkout), work, host, port)).filter((spec) => spec.includes(values.only))
  const results = specResults(await runSpecs(work, specs, values.without), join(work, 'src'))
  const left = values.without ? new RegExp(values.without, 'i') : null
  const ran = (name: string) => `src/${name}`.includes(values.only) && !left?.test(name.slice(name.indexOf(' > ')))
  const expected = readFileSync(values.names, 'utf8')
    .split('\n')
    .filter((name) => name !== '' && ran(name))
  const comparison = compare(results, expected)
  print(comparison)
  if (values.out) writeFileSync(values.out, JSON.stringify({ comparison, results }, null, 1))
  if (comparison.passed.length < expected.length) process.exitCode = 1
} finally {
  await broker?.dispose()
}
