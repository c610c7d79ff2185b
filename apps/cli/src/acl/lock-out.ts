import type { Acl, Admin } from '@millrace/client'

const FORBIDDEN = 'CLUSTER_AUTHORIZATION_FAILED'

/**
 * What to warn of after rules were made, or null. A first rule about the cluster that allows somebody something closes it to all others, and
 * making and removing rules is one of the things that it closes: who made the rule may be among those others.
 */
export async function lockOutWarning(admin: Admin, made: readonly Acl[], isFirst: boolean): Promise<string | null> {
  const [one] = made.filter(isAboutCluster)
  if (one === undefined) return null
  // A rule that is there already may be made again; who may not has lost the right to.
  const [again] = await admin.createAcls([one])
  if (again?.error?.code === FORBIDDEN) {
    return 'these rules take your own right away to change rules: docs/security.md, "Locked out", tells the way back'
  }
  if (!isFirst || made.some(isRightOfAll)) return null
  return 'these are the first rules about the cluster: from now on only super users and whom a rule allows "alter" on it may change rules. If that is not you, docs/security.md, "Locked out", tells the way back'
}

/** Whether the cluster has no rule yet; false where nobody can be asked. */
export async function hasNoClusterRules(admin: Admin): Promise<boolean> {
  return admin.describeAcls({ resourceType: 'cluster' }).then(
    (rules) => rules.length === 0,
    // What keeps from asking keeps from making rules, and is told there.
    () => false,
  )
}

export function isAboutCluster({ resourceType }: Acl): boolean {
  return resourceType === 'cluster'
}

function isRightOfAll(acl: Acl): boolean {
  const { principal, host, operation, permission } = acl
  const isForAll = principal === 'User:*' || principal === 'User:ANONYMOUS'
  const isAlter = operation === 'alter' || operation === 'all'
  return isAboutCluster(acl) && permission === 'allow' && isForAll && host === '*' && isAlter
}
