import { join } from 'node:path'
import { places, requirePlace } from './places.ts'
import { type RunOptions, type RunResult, run } from './run.ts'

/** Apache Kafka's command-line tools by the names of their scripts, and their main classes. */
const mainClasses = {
  acls: 'org.apache.kafka.tools.AclCommand',
  cluster: 'org.apache.kafka.tools.ClusterTool',
  configs: 'kafka.admin.ConfigCommand',
  'console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  'console-producer': 'org.apache.kafka.tools.ConsoleProducer',
  'console-share-consumer': 'org.apache.kafka.tools.consumer.ConsoleShareConsumer',
  'consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'consumer-perf': 'org.apache.kafka.tools.ConsumerPerformance',
  'delete-records': 'org.apache.kafka.tools.DeleteRecordsCommand',
  'dump-log': 'org.apache.kafka.tools.DumpLogSegments',
  'e2e-latency': 'org.apache.kafka.tools.EndToEndLatency',
  features: 'org.apache.kafka.tools.FeatureCommand',
  'get-offsets': 'org.apache.kafka.tools.GetOffsetShell',
  'leader-election': 'org.apache.kafka.tools.LeaderElectionCommand',
  'log-dirs': 'org.apache.kafka.tools.LogDirsCommand',
  'metadata-quorum': 'org.apache.kafka.tools.MetadataQuorumCommand',
  'producer-perf': 'org.apache.kafka.tools.ProducerPerformance',
  'reassign-partitions': 'org.apache.kafka.tools.reassign.ReassignPartitionsCommand',
  'share-groups': 'org.apache.kafka.tools.consumer.group.ShareGroupCommand',
  topics: 'org.apache.kafka.tools.TopicCommand',
  transactions: 'org.apache.kafka.tools.TransactionsCommand',
  'verifiable-consumer': 'org.apache.kafka.tools.VerifiableConsumer',
  'verifiable-producer': 'org.apache.kafka.tools.VerifiableProducer',
} as const

export type JavaTool = keyof typeof mainClasses

/** The command line of a tool. For short runs: a small heap, the first compiler alone, and classes from the archive that setup made. */
export function javaCommand(tool: JavaTool, args: readonly string[]): [command: string, args: string[]] {
  const jvm = [
    '-Xmx256m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xshare:auto',
    `-XX:SharedArchiveFile=${places.classArchive}`,
  ]
  const log = `-Dlog4j2.configurationFile=${join(places.root, 'e2e/peers/log4j2.properties')}`
  return ['java', [...jvm, log, '-cp', `${requirePlace(places.jars)}/*`, mainClasses[tool], ...args]]
}

/** Runs a tool to its end. */
export function javaTool(tool: JavaTool, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [command, all] = javaCommand(tool, args)
  return run(command, all, options)
}
