import { atLeast, bool, classname, int, list, long, oneOf, password, principalList, string } from '../definition.ts'

/** Kafka's name of the authorizer that keeps its rules in the metadata, as the one here does. */
export const STANDARD_AUTHORIZER = 'org.apache.kafka.metadata.authorizer.StandardAuthorizer'

/** Authentication, encryption and authorization. Facts: `configs.md`, "Broker and controller". */
export const securityDefinitions = {
  'authorizer.class.name': string(
    '',
    'none',
    'With the name of the standard authorizer, ACLs say who may do what; empty, everybody may do everything.',
    oneOf('', STANDARD_AUTHORIZER),
  ),
  'super.users': string(
    '',
    'none',
    'Principals that may do everything whatever the ACLs say, as User:name, separated by semicolons.',
    principalList,
  ),
  'allow.everyone.if.no.acl.found': bool(
    false,
    'none',
    'Whether everybody may do everything with a resource that no ACL is about.',
  ),
  'principal.builder.class': classname(
    null,
    'broker',
    'Accepted for compatibility, without effect: there are no Java plug-ins.',
  ),
  'sasl.enabled.mechanisms': list('GSSAPI', 'broker', 'SASL mechanisms that listeners offer.'),
  'sasl.mechanism.inter.broker.protocol': string('GSSAPI', 'broker', 'SASL mechanism between brokers.'),
  'sasl.mechanism.controller.protocol': string('GSSAPI', 'none', 'SASL mechanism between brokers and controllers.'),
  'sasl.jaas.config': password(null, 'broker', 'Login module and credentials of a listener and mechanism.'),
  'sasl.server.callback.handler.class': classname(
    null,
    'none',
    'Accepted for compatibility, without effect: there are no Java plug-ins.',
  ),
  'sasl.server.max.receive.size': int(524_288, 'none', 'Largest message while a connection authenticates.'),
  'sasl.oauthbearer.jwks.endpoint.url': string(null, 'none', 'Where the keys that tokens are verified with are found.'),
  'sasl.oauthbearer.token.endpoint.url': string(null, 'none', 'Where tokens are issued.'),
  'sasl.oauthbearer.expected.audience': list('', 'none', 'Audiences of which a token must name one.'),
  'sasl.oauthbearer.expected.issuer': string(null, 'none', 'Issuer that a token must name.'),
  'sasl.oauthbearer.scope.claim.name': string('scope', 'none', 'Claim of a token that holds its scope.'),
  'sasl.oauthbearer.sub.claim.name': string('sub', 'none', 'Claim of a token that holds its subject.'),
  'sasl.oauthbearer.clock.skew.seconds': int(
    30,
    'none',
    "Difference of clocks that is tolerated when a token's times are checked.",
  ),
  'sasl.oauthbearer.jwks.endpoint.refresh.ms': long(3_600_000, 'none', 'Period in which token keys are fetched anew.'),
  'ssl.protocol': string('TLSv1.3', 'broker', 'Newest TLS version used.'),
  'ssl.enabled.protocols': list('TLSv1.2,TLSv1.3', 'broker', 'TLS versions that are accepted.'),
  'ssl.cipher.suites': list('', 'broker', "TLS cipher suites that are accepted; empty for the library's choice."),
  'ssl.client.auth': string(
    'none',
    'broker',
    'Whether clients must, may or need not show a certificate.',
    oneOf('required', 'requested', 'none'),
  ),
  'ssl.endpoint.identification.algorithm': string(
    'https',
    'broker',
    'How host names are checked against certificates; empty for no check.',
  ),
  'ssl.principal.mapping.rules': string(
    'DEFAULT',
    'none',
    'Rules that turn the name in a certificate into a principal.',
  ),
  'ssl.keystore.type': string('JKS', 'broker', 'Format of the key store.'),
  'ssl.keystore.location': string(null, 'broker', 'File of the key store.'),
  'ssl.keystore.password': password(null, 'broker', 'Password of the key store.'),
  'ssl.key.password': password(null, 'broker', 'Password of the private key.'),
  'ssl.keystore.key': password(null, 'broker', 'Private key in PEM form.'),
  'ssl.keystore.certificate.chain': password(null, 'broker', 'Certificate chain in PEM form.'),
  'ssl.truststore.type': string('JKS', 'broker', 'Format of the trust store.'),
  'ssl.truststore.location': string(null, 'broker', 'File of the trust store.'),
  'ssl.truststore.password': password(null, 'broker', 'Password of the trust store.'),
  'ssl.truststore.certificates': password(null, 'broker', 'Trusted certificates in PEM form.'),
  'delegation.token.secret.key': password(
    null,
    'none',
    'Secret that delegation tokens are signed with; unset, there are none.',
  ),
  'delegation.token.max.lifetime.ms': long(
    604_800_000,
    'none',
    'Longest life of a delegation token, renewals included.',
    atLeast(1),
  ),
  'delegation.token.expiry.time.ms': long(
    86_400_000,
    'none',
    'Life of a delegation token that is not renewed.',
    atLeast(1),
  ),
  'delegation.token.expiry.check.interval.ms': long(
    3_600_000,
    'none',
    'Period of the look for delegation tokens that have expired.',
    atLeast(1),
  ),
} as const
