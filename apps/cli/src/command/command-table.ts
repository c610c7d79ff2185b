import type { Command } from 'commander'
import type { Dispatch } from './command-definition.ts'

/** A command of the first level: loaded when it is called, so that starting costs only what is used. */
export interface CommandEntry {
  name: string
  summary: string
  load(dispatch: Dispatch): Promise<Command>
}

/** All commands but `start`, which does not come this way. */
export const commandTable: readonly CommandEntry[] = [
  {
    name: 'topic',
    summary: 'Create, list, describe, change and delete topics',
    load: async (dispatch) => (await import('../topic/topic-commands.ts')).topicCommands(dispatch),
  },
  {
    name: 'produce',
    summary: 'Write records from the command line, standard input or files',
    load: async (dispatch) => (await import('../produce/produce-command.ts')).produceCommand(dispatch),
  },
  {
    name: 'consume',
    summary: 'Read records: a tail for topics',
    load: async (dispatch) => (await import('../consume/consume-command.ts')).consumeCommand(dispatch),
  },
  {
    name: 'group',
    summary: 'List and describe groups, show lag, reset offsets, delete',
    load: async (dispatch) => (await import('../group/group-commands.ts')).groupCommands(dispatch),
  },
  {
    name: 'cluster',
    summary: 'Look after brokers and controllers: status, quorum, moves, elections',
    load: async (dispatch) => (await import('../cluster/cluster-commands.ts')).clusterCommands(dispatch),
  },
  {
    name: 'config',
    summary: 'Show and change configuration of topics, brokers and groups',
    load: async (dispatch) => (await import('../config/config-commands.ts')).configCommands(dispatch),
  },
  {
    name: 'acl',
    summary: 'Say who may do what: list, add and remove rules',
    load: async (dispatch) => (await import('../acl/acl-commands.ts')).aclCommands(dispatch),
  },
  {
    name: 'txn',
    summary: 'List and describe transactions, abort one that hangs',
    load: async (dispatch) => (await import('../txn/txn-commands.ts')).txnCommands(dispatch),
  },
  {
    name: 'perf',
    summary: 'Measure throughput and latency',
    load: async (dispatch) => (await import('../perf/perf-commands.ts')).perfCommands(dispatch),
  },
  {
    name: 'dump',
    summary: 'Show and verify segment and index files on disk',
    load: async (dispatch) => (await import('../dump/dump-command.ts')).dumpCommand(dispatch),
  },
]
