"""The works' training steps in PyTorch: optimizers, losses, penalties and moving averages."""

import contextlib
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.peers import torch_nets

Logs = dict[str, torch.Tensor]
softplus = functional.softplus

# (real logits, fake logits) -> D's loss.
D_LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "non_saturating": lambda r, f: softplus(-r).mean() + softplus(f).mean(),
    "relativistic": lambda r, f: softplus(f - r).mean(),
    "hinge": lambda r, f: torch.relu(1 - r).mean() + torch.relu(1 + f).mean(),
    "wasserstein": lambda r, f: f.mean() - r.mean(),
    "lsgan": lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
}
# (fake logits, real logits on demand) -> G's loss.
G_LOSSES: dict[str, Callable[[Any, Callable[[], Any]], Any]] = {
    "non_saturating": lambda f, real: softplus(-f).mean(),
    "relativistic": lambda f, real: softplus(real() - f).mean(),
    "hinge": lambda f, real: -f.mean(),
    "wasserstein": lambda f, real: -f.mean(),
    "lsgan": lambda f, real: ((f - 1) ** 2).mean() / 2,
}


class Training:
    """Networks, an Adam for each group of them, and the moving average of the generators."""

    groups: dict[str, tuple[str, ...]] = {}
    averaged: tuple[str, ...] = ()

    def __init__(self, folder: pathlib.Path, values: dict[str, str], *, kind: str) -> None:
        """See benchmarks/peers/torch_side.py for the kinds."""
        self.values = values
        self.bfloat16 = kind == "bfloat16"
        every = [name for group in self.groups.values() for name in group]
        self.networks = {name: torch_nets.load(folder / name) for name in every}
        # In channels last the gradients of networks with instance norm come out as others, though
        # each layer's alone are right (PyTorch 2.13, on a CPU); CycleGAN then learns more slowly.
        modules = [m for network in self.networks.values() for m in network.modules()]
        normed = any(isinstance(m, torch.nn.InstanceNorm2d) for m in modules)
        last = kind != "eager" and not normed
        self.layout = torch.channels_last if last else torch.contiguous_format
        for network in self.networks.values():
            network.to(memory_format=self.layout)
        self.step = 0
        self.optimizers = {}
        for group, names in self.groups.items():
            self.optimizers[group] = torch.optim.Adam(
                [p for name in names for p in self.networks[name].parameters()],
                lr=float(values["learning_rate"]),
                betas=(float(values["beta_1"]), float(values["beta_2"])),
                eps=1e-7,
                fused=kind != "eager",
            )
        self.batch = int(values["batch_size"])
        images = self.batch * int(values["n_critic"])
        half_life = 1000 * float(values["ema_half_life_kimg"])
        average = get_ema_multi_avg_fn(math.exp(-math.log(2) * images / half_life))
        self.averages = [
            (AveragedModel(self.networks[n], multi_avg_fn=average, use_buffers=True), n)
            for n in self.averaged
        ]
        compile = torch.compile if kind == "compile" else lambda network: network
        # Second derivatives do not go through what torch.compile makes.
        self.run = {name: compile(network) for name, network in self.networks.items()}

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 where PyTorch thinks it safe, if it is asked for."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)

    def minimize(self, loss: torch.Tensor, group: str) -> None:
        """A step of the group's networks alone."""
        optimizer = self.optimizers[group]
        optimizer.zero_grad(set_to_none=True)
        parameters = optimizer.param_groups[0]["params"]
        loss.backward(inputs=parameters)
        optimizer.step()

    def train(self, batches: Iterator[Any]) -> Logs:
        """A step, then the averages."""
        logs = self.train_step(batches)
        for average, name in self.averages:
            average.update_parameters(self.networks[name])
        self.step += 1
        return logs

    def train_step(self, batches: Iterator[Any]) -> Logs:
        """The losses of a step, detached."""
        raise NotImplementedError


class GAN(Training):
    """One G, one D."""

    groups = {"generator": ("generator",), "discriminator": ("discriminator",)}
    averaged: tuple[str, ...] = ("generator",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        values = self.values
        self.d_loss, self.g_loss = D_LOSSES[values["loss"]], G_LOSSES[values["loss"]]
        self.penalties = [p for p in values.get("penalty", "").split(",") if p]
        self.every = int(values["penalty_every"])
        self.path_every = int(values["generator_penalty_every"])
        self.path_mean = torch.zeros(())

    def z(self) -> torch.Tensor:
        """N(0, I)."""
        return torch.randn(self.batch, int(self.values["latent_dim"]))

    def train_step(self, batches: Iterator[Any]) -> Logs:
        g, d = self.run["generator"], self.run["discriminator"]
        for _ in range(int(self.values["n_critic"])):
            real = next(batches)
            with self.autocast():
                fake = g(self.z())
                judge, (real, shown) = self.judging(real, fake.detach())
                real_logits, fake_logits = judge(real).float(), judge(shown).float()
                loss_d = self.d_loss(real_logits, fake_logits)
                total = loss_d + self.penalty(real, shown, real_logits, fake_logits)
            self.minimize(total, "discriminator")
        with self.autocast():
            loss_g = self.g_loss(d(fake).float(), lambda: d(real).float())
            total = loss_g + self.path_length()
        self.minimize(total, "generator")
        return {"loss/generator": loss_g.detach(), "loss/discriminator": loss_d.detach()}

    def judging(self, *images: torch.Tensor) -> tuple[Any, list[torch.Tensor]]:
        """D and what to show it, such that R1 and R2 can differentiate the loss's own pass."""
        if not self.due or self.penalties == ["wgan_gp"]:
            return self.run["discriminator"], list(images)
        return self.networks["discriminator"], [x.detach().requires_grad_(True) for x in images]

    @property
    def due(self) -> bool:
        """Whether this step has penalties."""
        return bool(self.penalties) and self.step % self.every == 0

    def penalty(
        self, real: torch.Tensor, fake: torch.Tensor, real_logits: Any, fake_logits: Any
    ) -> Any:
        """R1, R2 or WGAN-GP's, every n-th step n times as strong."""
        if not self.due:
            return 0.0
        total = torch.zeros(())
        for name in self.penalties:
            if name == "wgan_gp":
                alpha = torch.rand(len(real), *[1] * (real.dim() - 1))
                between = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
                slopes = self.slopes(self.networks["discriminator"](between), between)
                norm = (slopes + 1e-12).sqrt()
                total = total + float(self.values["gp_lambda"]) * ((norm - 1) ** 2).mean()
            else:
                both = (real_logits, real) if name == "r1" else (fake_logits, fake)
                total = total + float(self.values[f"{name}_gamma"]) / 2 * self.slopes(*both).mean()
        return self.every * total

    def slopes(self, logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """||grad_x D(x)||^2 of each sample."""
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return gradient.float().square().flatten(1).sum(1)

    def path_length(self) -> Any:
        """StyleGAN2's, of half a batch."""
        if "generator_penalty" not in self.values or self.step % self.path_every:
            return 0.0
        g = self.networks["generator"]
        w, image = g(self.z()[: self.batch // 2], also=g.w)
        y = torch.randn_like(image) / math.sqrt(image.shape[2] * image.shape[3])
        (gradient,) = torch.autograd.grad((image * y).sum(), w, create_graph=True)
        lengths = gradient.float().square().sum(-1).flatten(1).mean(1).add(1e-20).sqrt()
        self.path_mean = self.path_mean.lerp(lengths.detach().mean(), 0.01)
        weight = float(self.values["path_length_weight"]) * self.path_every
        return weight * (lengths - self.path_mean).square().mean()


class VAEGAN(GAN):
    """Larsen et al. 2016: E, G and D from one forward pass."""

    groups = {"encoder": ("encoder",), **GAN.groups}
    averaged = ("generator", "encoder")

    def train_step(self, batches: Iterator[Any]) -> Logs:
        x = next(batches)
        e, g, d = (self.run[name] for name in self.groups)
        features = self.networks["discriminator"].features
        with self.autocast():
            mean, log_variance = e(x).float().chunk(2, -1)
            rebuilt = g(mean + (0.5 * log_variance).exp() * torch.randn_like(mean))
            kl = (log_variance.exp() + mean**2 - 1 - log_variance).sum() / 2 / len(x)
            d_x, (x,) = self.judging(x)
            real_features, real_logits = d_x(x, also=features)
            rebuilt_features, rebuilt_logits = d(rebuilt, also=features)
            gap = real_features.float() - rebuilt_features.float()
            distance = gap.square().sum() / 2 / len(x)
            loss_e = kl + distance
            loss_d, game = self.penalty(x, x, real_logits, real_logits), torch.zeros(())
            for logits in (rebuilt_logits, d(g(self.z()))):
                game = game + self.g_loss(logits.float(), lambda: real_logits.float())
                loss_d = loss_d + self.d_loss(real_logits.float(), logits.float())
            loss_g = float(self.values["gamma"]) * distance + game
        losses = dict(zip(self.groups, (loss_e, loss_g, loss_d)))
        # All gradients before any update, which would change what backward reads.
        gradients = {}
        for group, loss in losses.items():
            parameters = self.optimizers[group].param_groups[0]["params"]
            keep = group != "discriminator"
            gradients[group] = torch.autograd.grad(loss, parameters, retain_graph=keep)
        for group, optimizer in self.optimizers.items():
            for parameter, gradient in zip(optimizer.param_groups[0]["params"], gradients[group]):
                parameter.grad = gradient
            optimizer.step()
        return {f"loss/{group}": loss.detach() for group, loss in losses.items()}


class CycleGAN(Training):
    """Two translators, two discriminators, pools of past fakes."""

    groups = {
        "generator": ("generator_ab", "generator_ba"),
        "discriminator": ("discriminator_a", "discriminator_b"),
    }
    averaged = ("generator_ab", "generator_ba")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pools: dict[str, list[torch.Tensor]] = {"a": [], "b": []}

    def exchange(self, domain: str, fakes: torch.Tensor) -> torch.Tensor:
        """Present fakes, or past ones in their place."""
        pool, shown = self.pools[domain], []
        for fake in fakes.detach().split(1):
            if len(pool) < int(self.values["pool_size"]):
                pool.append(fake)
            elif torch.rand(()) < 0.5:
                slot = int(torch.randint(len(pool), ()))
                pool[slot], fake = fake, pool[slot]
            shown.append(fake)
        return torch.cat(shown)

    def train_step(self, batches: Iterator[Any]) -> Logs:
        a, b = next(batches)
        g_ab, g_ba, d_a, d_b = self.run.values()
        d_loss, g_loss = D_LOSSES[self.values["loss"]], G_LOSSES[self.values["loss"]]
        cycle_lambda = float(self.values["cycle_lambda"])
        l1 = functional.l1_loss
        with self.autocast():
            fake_b, fake_a = g_ab(a), g_ba(b)
            loss_g = g_loss(d_b(fake_b).float(), lambda: 0) + g_loss(d_a(fake_a).float(), lambda: 0)
            loss_g = loss_g + cycle_lambda * (
                l1(g_ba(fake_b).float(), a) + l1(g_ab(fake_a).float(), b)
            )
            identity = l1(g_ab(b).float(), b) + l1(g_ba(a).float(), a)
            loss_g = loss_g + cycle_lambda * float(self.values["identity_lambda"]) * identity
        self.minimize(loss_g, "generator")
        past_a, past_b = self.exchange("a", fake_a.float()), self.exchange("b", fake_b.float())
        with self.autocast():
            loss_d = d_loss(d_a(a).float(), d_a(past_a).float())
            loss_d = loss_d + d_loss(d_b(b).float(), d_b(past_b).float())
        self.minimize(loss_d, "discriminator")
        return {"loss/generator": loss_g.detach(), "loss/discriminator": loss_d.detach()}


TRAININGS: dict[str, type[Training]] = {"gan": GAN, "vae_gan": VAEGAN, "cyclegan": CycleGAN}
