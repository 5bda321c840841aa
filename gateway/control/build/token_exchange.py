"""`token_exchange` of upstreams into who exchanges tokens for each.

What was exchanged outlives a reload where the settings of its upstream stay equal.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.config.schema import Config, Issuer, OAuthClient, TokenExchange
from gateway.control.feeds.oauth_client import ClientSettings
from gateway.control.feeds.token_exchange import ExchangeClient, ExchangeSettings
from gateway.kernel.cells import Metrics
from gateway.stages.forward.token_exchange import Exchanger


@dataclass(frozen=True, slots=True)
class TokenExchanges:
    """Who exchanges, by the upstream's name."""

    exchangers: Mapping[str, Exchanger]
    clients: Mapping[str, ExchangeClient]

    def start(self) -> None:
        """Be ready to ask."""
        for client in self.clients.values():
            client.start()

    async def close(self, keep: "TokenExchanges | None" = None) -> None:
        """Close every client that is not also one of `keep`'s."""
        for name, client in self.clients.items():
            if keep is None or keep.clients.get(name) is not client:
                await client.close()


def token_exchanges(
    config: Config, previous: TokenExchanges | None, metrics: Metrics, clock: Callable[[], float]
) -> TokenExchanges:
    """Those of `config`: of `previous` where the settings are equal, and fresh ones. `clock`: wall clock."""
    exchangers: dict[str, Exchanger] = {}
    clients: dict[str, ExchangeClient] = {}
    for name, upstream in config.upstreams.items():
        if upstream.token_exchange is None:
            continue
        settings = _settings(config, upstream.token_exchange)
        before = previous.clients.get(name) if previous is not None else None
        if previous is not None and before is not None and before.settings == settings:
            exchangers[name], clients[name] = previous.exchangers[name], before
            continue
        clients[name] = ExchangeClient(settings)
        exchangers[name] = Exchanger(
            name, settings.issuer, clients[name], cache=settings.cache, count=_counting(metrics, name), clock=clock
        )
    return TokenExchanges(exchangers, clients)


def client_settings(issuer: Issuer, asked: OAuthClient) -> ClientSettings:
    """Which endpoint of an issuer is asked, and as whom."""
    secret = asked.client_secret.get_secret_value() if asked.client_secret is not None else None
    proof = secret, asked.client_key, asked.client_key_id, asked.client_certificate
    return ClientSettings(issuer.issuer, asked.url, issuer.ca, asked.client_id, asked.method, *proof)


def _settings(config: Config, asked: TokenExchange) -> ExchangeSettings:
    issuer = config.issuers[asked.issuer] if asked.issuer is not None else next(iter(config.issuers.values()))
    client = client_settings(issuer, asked)
    return ExchangeSettings(client, issuer.name, asked.audiences, asked.resources, asked.scopes, asked.cache)


def _counting(metrics: Metrics, upstream: str) -> Callable[[str], None]:
    cells = {result: metrics.token_exchanges.labels(upstream, result) for result in ("success", "refused", "failure")}
    return lambda result: cells[result].inc()
