import { type Uuid, ZERO_UUID } from '@millrace/base'
import type { QuorumDescription, QuorumReplica, VoterListener } from '@millrace/client'
import { CliError, ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { requireWhole } from '../options/numbers.ts'
import { withController } from './active-controller.ts'

interface AddOptions {
  directory?: string
  address?: string
  listener: string
}

const DIRECTORY_ID = /^[A-Za-z0-9_-]{22}$/
const ADDRESS = /^(?:\[([0-9a-fA-F:.%]+)\]|([^:[\]]+)):(\d{1,5})$/
const DEFAULT_LISTENER = 'CONTROLLER'

export const addVoter: CommandDefinition<AddOptions> = {
  name: 'add-voter',
  arguments: [['<node>', 'id of a running controller that does not vote yet']],
  summary: 'Give a controller a vote in the metadata quorum',
  description: `Start the controller first, with controller.quorum.bootstrap.servers, and let it catch up ("millrace cluster quorum"). The directory is
found by itself. The address has to be given unless "millrace cluster quorum" shows it: brokers know those of voters only. Votes change one
at a time.`,
  options: [
    { flags: '--directory <id>', description: "id of the directory with the node's metadata log" },
    { flags: '--address <host:port>', description: 'where other nodes reach the controller' },
    { flags: '--listener <name>', description: `name of that listener (default: ${DEFAULT_LISTENER})` },
  ],
  examples: [
    ['cluster add-voter 4 --address controller-4:9093', 'a node that follows the quorum'],
    ['cluster add-voter 4 --address controller-4:9093 --directory JEXY6aqzQY-32P5TStzaFg', 'in so many words'],
  ],
  async run(context, [nodeText], options) {
    const nodeId = requireWhole('node', nodeText!, 0)
    const address = options.address === undefined ? null : parseAddress(options.address)
    const directory = directoryOf(options.directory)
    return context.withAdmin(async (admin) => {
      const quorum = await withController(admin, () => admin.describeQuorum())
      if (quorum.voters.some((voter) => voter.nodeId === nodeId)) throw new CliError(`node ${nodeId} votes already`)
      const observer = quorum.observers.find((one) => one.nodeId === nodeId)
      const directoryId = directory ?? knownDirectory(observer)
      if (directoryId === null) {
        throw new CliError(`node ${nodeId} does not follow the quorum`, {
          hint: 'Start it with controller.quorum.bootstrap.servers first, or give its --directory.',
        })
      }
      const name = options.listener ?? DEFAULT_LISTENER
      const listeners: VoterListener[] = address === null ? (observer?.listeners ?? []) : [{ name, ...address }]
      if (listeners.length === 0) throw usageError(`where is node ${nodeId} reached?`, 'Give --address HOST:PORT.')
      await withController(admin, () => admin.addVoter({ nodeId, directoryId, listeners }))
      await context.note(`Node ${nodeId} votes. ${majorityText(quorum.voters.length + 1)}`)
      return ExitCode.OK
    })
  },
}

interface RemoveOptions {
  directory?: string
  execute?: boolean
}

export const removeVoter: CommandDefinition<RemoveOptions> = {
  name: 'remove-voter',
  arguments: [['<node>', 'id of the controller']],
  summary: "Take a controller's vote in the metadata quorum away; without --execute only say what would be",
  description: `For a node that is lost, or before one is taken away. A majority of the voters that remain must run. Votes change one at a time.`,
  options: [
    { flags: '--execute', description: 'do it; without this it is only shown' },
    { flags: '--directory <id>', description: 'if the node voted with several directories: which' },
  ],
  examples: [
    ['cluster remove-voter 3', 'what would be'],
    ['cluster remove-voter 3 --execute', 'node 3 votes no more'],
  ],
  async run(context, [nodeText], options) {
    const nodeId = requireWhole('node', nodeText!, 0)
    const directory = directoryOf(options.directory)
    return context.withAdmin(async (admin) => {
      const quorum = await withController(admin, () => admin.describeQuorum())
      const directoryId = directory ?? directoryOfVoter(quorum, nodeId)
      const left = quorum.voters.filter((voter) => voter.nodeId !== nodeId || voter.directoryId !== directoryId)
      if (left.length === 0) throw new CliError(`node ${nodeId} is the only voter: without it there would be no quorum`)
      const majority = majorityText(left.length)
      if (!options.execute) {
        const ids = left.map((voter) => voter.nodeId).join(', ')
        await context.note(`Node ${nodeId} would vote no more, and ${ids} would. ${majority}`)
        await context.note('Nothing was changed: add --execute to do it.')
        return ExitCode.OK
      }
      await withController(admin, () => admin.removeVoter({ nodeId, directoryId }))
      await context.note(`Node ${nodeId} votes no more. ${majority}`)
      return ExitCode.OK
    })
  },
}

function directoryOfVoter(quorum: QuorumDescription, nodeId: number): Uuid {
  const own = quorum.voters.filter((voter) => voter.nodeId === nodeId)
  if (own.length === 0) {
    throw new CliError(`node ${nodeId} does not vote`, { hint: '"millrace cluster quorum" shows the voters.' })
  }
  if (own.length > 1) {
    const ids = own.map(({ directoryId }) => directoryId).join(' or ')
    throw usageError(`node ${nodeId} votes with several directories`, `Give --directory ${ids}.`)
  }
  return own[0]!.directoryId
}

function knownDirectory(observer: QuorumReplica | undefined): Uuid | null {
  return observer === undefined || observer.directoryId === ZERO_UUID ? null : observer.directoryId
}

function directoryOf(text: string | undefined): Uuid | null {
  if (text === undefined) return null
  if (!DIRECTORY_ID.test(text)) throw usageError(`--directory ${text}: must be 22 letters, digits, - and _`)
  return text as Uuid
}

function parseAddress(text: string): { host: string; port: number } {
  const [, v6, host, portText] = ADDRESS.exec(text) ?? []
  const port = Number(portText)
  if ((v6 ?? host) === undefined || port < 1 || port > 65_535) {
    throw usageError(`--address ${text}: write it as host:port`)
  }
  return { host: v6 ?? host!, port }
}

function majorityText(voterCount: number): string {
  const majority = Math.floor(voterCount / 2) + 1
  return `Of ${voterCount} voters, ${majority} must run.`
}
