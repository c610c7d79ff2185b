import type { QuorumFigures, QuorumWait } from '../metrics/cluster-metrics.ts'

/** How far a broker has come with its start, as far as it tells what it waits for. */
export interface StartState {
  /** Node id of the active controller; null: none is known. */
  readonly activeController: number | null
  /** It has all metadata that were committed before it asked. */
  readonly isCaughtUp: boolean
  /** The cluster knows it, fenced. */
  readonly isRegistered: boolean
  /** Why it is not registered yet; null: no try has failed. */
  readonly refusal: string | null
  /** What the quorum node told last; null: nothing yet. */
  readonly figures: QuorumFigures | null
  /** What the quorum node told last of what it waits for; null: nothing. */
  readonly wait: QuorumWait | null
}

/** What a broker that starts waits for, for people; it completes "this node waits for". */
export function startWords(state: StartState): string {
  const { activeController, isCaughtUp, isRegistered, refusal, figures, wait } = state
  if (activeController === null) {
    if (wait === null) return 'an active controller'
    return wait.isFirst ? firstVotersWords(wait) : majorityWords(wait)
  }
  if (isRegistered) return `controller ${activeController} to let it serve`
  if (isCaughtUp) {
    const words = `controller ${activeController} to register it`
    return refusal === null ? words : `${words}, which says: ${refusal}`
  }
  const applied = figures === null ? '' : `: ${figures.appliedIndex} of ${figures.commitIndex} entries are applied`
  return `the metadata of the cluster${applied}`
}

function firstVotersWords({ voters, missing, disagreeing }: QuorumWait): string {
  const unheard = missing.length === 0 ? '' : `; nothing is heard of ${missing.join(', ')}`
  const others = disagreeing.length === 0 ? '' : `; other voters are set at ${disagreeing.join(', ')}`
  return `all of the first controllers (${voters.join(', ')}) to be up once, with the same voters set${unheard}${others}`
}

function majorityWords({ voters, missing }: QuorumWait): string {
  const controllers = `(${voters.join(', ')})`
  if (missing.length === 0) return `the controllers ${controllers} to elect one of them; all are connected`
  return `a majority of the controllers ${controllers}; not connected: ${missing.join(', ')}`
}
