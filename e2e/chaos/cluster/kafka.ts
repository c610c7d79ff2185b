import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { places, requirePlace } from '../../harness/places.ts'
import { run } from '../../harness/run.ts'
import { type NodePlan, type System, settingsOf } from './system.ts'

const java = (args: readonly string[]): readonly [string, readonly string[]] => {
  const log = `-Dlog4j2.configurationFile=${join(places.root, 'e2e/peers/log4j2.properties')}`
  return ['java', ['-Xmx384m', '-XX:+UseSerialGC', log, '-cp', `${requirePlace(places.jars)}/*`, ...args]]
}

/** A file of settings, as both its server and its formatting tool read it. */
function propertiesFile(plan: NodePlan): string {
  const file = join(plan.directory, 'server.properties')
  const settings = {
    'process.roles': 'broker,controller',
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.voters': `${plan.id}@127.0.0.1:${plan.controllerPort}`,
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    ...settingsOf(plan),
    'offsets.topic.num.partitions': '4',
    listeners: `PLAINTEXT://127.0.0.1:${plan.port},CONTROLLER://127.0.0.1:${plan.controllerPort}`,
  }
  writeFileSync(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  )
  return file
}

/** Apache Kafka in its place: what is demanded of Millrace must hold for it too, or the demand is wrong. */
export const kafka: System = {
  name: 'kafka',
  isNode: false,
  prepare: async (plan) => {
    const [command, args] = java([
      'kafka.tools.StorageTool',
      'format',
      '-t',
      'MkU3OEVBNTcwNTJENDM2Qk',
      '-c',
      propertiesFile(plan),
    ])
    await run(command, args, { timeoutMs: 120_000 })
  },
  command: (plan) => java(['kafka.Kafka', propertiesFile(plan)]),
  badLines: [/FATAL/],
}
