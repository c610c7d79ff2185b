import type { BrokerConfig } from './broker-config.ts'

/** What is legal of the authorizer's settings and hardly meant, as warnings. */
export function checkAuthorizer(config: BrokerConfig): string[] {
  const { authorizerClassName, superUsers, allowEveryoneIfNoAclFound, givenKeys } = config
  if (authorizerClassName === '') {
    const given = ['super.users', 'allow.everyone.if.no.acl.found'].filter((key) => givenKeys.has(key))
    return given.length === 0
      ? []
      : [`${given.join(' and ')} without authorizer.class.name: everybody may do everything`]
  }
  const warnings: string[] = []
  if (superUsers === '' && !allowEveryoneIfNoAclFound) {
    warnings.push('there are no super.users: unless ACLs let somebody alter the cluster already, nobody can make any')
  }
  if (config.cluster !== null && config.controllerPeerSecret === null) {
    warnings.push(
      'without controller.peer.secret brokers need an ACL to copy records from each other, as any client does',
    )
  }
  return warnings
}
